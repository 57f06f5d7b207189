/*
 * What people do without any lock: restore a message from a backup, move one file of a pair, take away and give back the
 * permission to read.
 */
#ifdef RESTORE
/* Message 2 is restored into cur, in either order, after F1 has ended: SPOOL-FORMAT.md F.3. It may be cut short. */
proctype restorer() provided (!over)
{
	{
		atomic {
			!alive[1] && (fed || FEEDERS == 0) && mem[NC] == 0 && mem[NE] == 0 && mem[CC] == 0 && mem[CE] == 0;
#ifndef LEFTOVER
			mem[CD] == 0;
#endif
			alive[2] = true; durable[2] = true; durable[ENV(2)] = true; committed[2] = true
		};
		if
		:: atomic { mem[CC] == 0 -> put(CC, 2) }; atomic { mem[CE] == 0 -> put(CE, ENV(2)) }
		:: atomic { mem[CE] == 0 -> put(CE, ENV(2)) }; atomic { mem[CC] == 0 -> put(CC, 2) }
		fi;
		sync_cur();
		acked[2] = true
	} unless { dead[F2] }
	atomic { alive[2] = false; dead[F2] = false }
}
#endif

#ifdef PERSON
/* One file, to another box, at any moment: what was delivered then may be delivered again. */
#define person_moves(a, b) atomic { mem[a] != 0 && mem[b] == 0 -> put(b, mem[a]); put(a, 0); moved = true }
bool moved;
proctype person() provided (!over)
{
	if
	:: person_moves(CC, NC)
	:: person_moves(CC, BC)
	:: person_moves(NC, CC)
	:: person_moves(NC, BC)
	:: person_moves(BC, NC)
	:: person_moves(BC, CC)
	:: person_moves(CE, NE)
	:: person_moves(CE, BE)
	:: person_moves(NE, CE)
	:: person_moves(NE, BE)
	:: person_moves(BE, NE)
	:: person_moves(BE, CE)
	fi
}
#define MOVED moved
#else
#define MOVED false
#endif

#ifdef PERMS
proctype chmod() provided (!over)
{
	byte n, i;
	do
	:: n < PERMS -> n++; if :: i = 1 :: i = 3 :: i = 5 :: i = 7 fi; d_step { shut[i] = !shut[i]; i = 0 }
	:: n == PERMS -> break
	od
}
#endif
