/*
 * A drainer that cannot lock, SPOOL-FORMAT.md 9.2. It takes one message into a directory of its own, which is its own
 * affair from then on: whether it is killed there is no matter of the spool. It takes less than 36 hours for it.
 */
#if MOVERS > 0
proctype mover() provided (!over)
{
	byte e, c;
again:
	{
	atomic { e = 0; c = 0; mem[NE] != 0 && mem[ME] == 0 && mem[MC] == 0 };
#ifdef MOVER_LINKS
	atomic { e = mem[NE]; if :: e == 0 -> goto end :: else -> put(ME, e) fi };
	atomic { if :: mem[NE] == 0 -> put(ME, 0); goto end :: else -> put(NE, 0) fi };
#else
	atomic { e = mem[NE]; if :: e == 0 -> goto end :: else -> put(ME, e); put(NE, 0); taking = true fi };
#endif
	atomic { c = mem[NC]; if :: c == 0 -> goto end :: else -> put(MC, c); put(NC, 0); taking = false fi };
	atomic {
		assert(MESSAGE(e) == c);
		if :: cut_short[e] || cut_short[c] -> goto end :: else fi;
		assert(busy[c] == 0 && committed[c]);
		assert((got[c] & ~may[c] & 3) == 0);
		busy[c] = MOVER; got[c] = 3; may[c] = 0
	};
	d_step { busy[c] = 0 };
	d_step { gone = c };
	atomic { put(ME, 0) };
	atomic { put(MC, 0) }
	} unless { dead[MOVER] }
end:
	atomic {
		taking = false; dead[MOVER] = false; e = 0; c = 0
	}
}
#endif
