/*
 * A person who sends a message in bad on its way again, SPOOL-FORMAT.md 9.7, REQUEUES times, killed at any step; for
 * one feeder. States: ASIDE, SENDING. It is not run with the mover, whose number it has,
 * nor with power cuts, which before its last sync can bring back to bad what was delivered since.
 */
#if REQUEUES > 0
#define OPER MOVER
proctype operator() provided (!over)
{
	byte c, e, n;
	bool sending;
	{
	skip;
again:
	atomic {
		if :: c != 0 && lock[c] == OPER -> lock[c] = 0 :: else fi; c = 0; e = 0; n = 0; sending = false;
		requeues > 0 && mem[BE] != 0 && (mem[BC] != 0 || mem[NC] != 0);
		requeues--;
		c = mem[BC];
		if :: c == 0 -> c = mem[NC]; sending = true :: else fi
	};
	atomic { if :: lock[c] == 0 -> lock[c] = OPER :: else -> c = 0; goto again fi };                      /* step 1 */
	atomic { if :: (sending -> mem[NC] : mem[BC]) == c :: else -> goto again fi };
#ifndef NO_UNDO
	atomic { if :: mem[BC] == c && mem[NC] == c && mem[NE] == 0 -> put(NC, 0) :: else fi };             /* B */
#endif
	atomic { links(c, n); if :: n > 1 -> goto again :: else -> n = 0 fi };
	atomic { e = mem[BE]; if :: e == 0 || cut_short[e] || cut_short[c] -> goto again :: else fi };
#ifndef NO_ONE_NAME
	atomic { links(e, n); if :: n > 1 -> goto again :: else -> n = 0 fi };
#endif
	atomic { if :: mem[NE] != 0 || (!sending && mem[NC] != 0) -> goto again :: else fi };
#ifndef NO_REQUEUE_CUR
	atomic { if :: mem[CC] != 0 || mem[CE] != 0 || mem[CD] != 0 -> goto again :: else fi };
#endif
	atomic {                                                                                            /* step 2 */
		if :: mem[BE] != e -> goto again :: else fi;
		e = (SERVED(e) -> c + 6 : c + 4); durable[e] = true; put(BE, e)
	};
	sync_bad();
	if
	:: !sending -> move(BC, NC, n); if :: n != 0 -> goto again :: else fi                               /* step 3 */
	:: else
	fi;
	move(BE, NE, n);
	sync_new();
	sync_bad();
	goto again
	} unless {
		atomic { dead[OPER]; dead[OPER] = false; c = 0; e = 0; n = 0; sending = false; goto again }
	}
}
#endif
