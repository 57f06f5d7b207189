/*
 * Feeders, SPOOL-FORMAT.md 8.1. Each feeds one message and ends; one that finds its id taken gives up, since another id
 * would be nobody else's. Killed, it does not come back.
 */

/* F1 syncs, locks and moves by renameat2: smap. States: NONE, DRAFT, HALF, READY. */
proctype careful() provided (!over)
{
	{
		atomic { alive[1] = true; put(TC, 1); durable[1] = true; durable[ENV(1)] = true }   /* step 1 */
#ifdef NO_FSYNC
		atomic { durable[1] = false; durable[ENV(1)] = false }
#endif
#ifndef NO_FEEDER_CHECK
		if :: mem[NE] == 0 :: else -> goto end fi;                         /* step 2 */
#endif
		atomic { if :: lock[1] == 0 -> lock[1] = F1 :: else fi };          /* step 3 */
		atomic { if :: mem[NC] == 0 -> put(NC, 1); put(TC, 0) :: else -> goto end fi };
#ifndef ENVELOPE_FIRST
		atomic {                                                           /* step 4, the commit */
			if
			:: mem[NE] == 0 -> put(NE, ENV(1)); committed[1] = true
			:: else -> if :: mem[NC] == 1 -> put(NC, 0); put(TC, 1) :: else fi; goto end
			fi
		};
#endif
#ifndef LOCK_TILL_SYNC
		d_step { if :: lock[1] == F1 -> lock[1] = 0 :: else fi };          /* step 5 */
#endif
#ifndef NO_SYNC_NEW
		sync_new();
#endif
#ifdef LOCK_TILL_SYNC
		d_step { if :: lock[1] == F1 -> lock[1] = 0 :: else fi };
#endif
		acked[1] = true
	} unless { dead[F1] }
end:
	atomic {
		alive[1] = false; dead[F1] = false;
		if :: lock[1] == F1 -> lock[1] = 0 :: else fi
	}
}

/* F2 is a shell: no sync, no lock, ln and rm. Between ln and rm it takes less than a minute. */
proctype shell() provided (!over)
{
	{
		atomic { alive[2] = true; put(TC + 1, 2) };                                       /* step 1 */
#ifndef NO_FEEDER_CHECK
		if :: mem[NE] == 0 :: else -> goto end fi;                         /* step 2 */
#endif
		atomic { if :: mem[NC] == 0 -> put(NC, 2); linking[2] = true :: else -> goto end fi };   /* step 3: ln */
		atomic { put(TC + 1, 0); linking[2] = false };                     /* rm */
		atomic {                                                           /* step 4: ln */
			if
			:: mem[NE] == 0 -> put(NE, ENV(2)); committed[2] = true
			:: else -> if :: mem[NC] == 2 -> put(TC + 1, 2); put(NC, 0) :: else fi; goto end
			fi
		};
		acked[2] = true
	} unless { dead[F2] }
end:
	atomic { alive[2] = false; linking[2] = false; dead[F2] = false }
}
