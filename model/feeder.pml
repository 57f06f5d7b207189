/*
 * Feeders, SPOOL-FORMAT.md 8. Each feeds one message and ends; one that finds its id taken gives up, since another id
 * would be nobody else's. Killed, it does not come back.
 */

/* F1 locks: smap. It commits first and syncs once, or with -DTWO_SYNCS it syncs before and after. */
proctype careful() provided (!over)
{
	{
		atomic { alive[1] = true; put(TC, 1) };                            /* step 1 */
#ifdef TWO_SYNCS
		d_step { durable[1] = true; durable[ENV(1)] = true };
#endif
#ifndef NO_FEEDER_CHECK
		if :: mem[NE] == 0 :: else -> goto end fi;                         /* step 2 */
#endif
		atomic { if :: lock[1] == 0 -> lock[1] = F1 :: else fi };
		atomic { if :: mem[NC] == 0 -> put(NC, 1); put(TC, 0) :: else -> goto end fi };
		atomic {                                                           /* step 3, the commit */
			if
			:: mem[NE] == 0 -> put(NE, ENV(1)); committed[1] = true
			:: else -> if :: mem[NC] == 1 -> put(NC, 0); put(TC, 1) :: else fi; goto end
			fi
		};
#ifdef EARLY_ACK
		acked[1] = true;
#endif
#ifdef TWO_SYNCS
		d_step { if :: lock[1] == F1 -> lock[1] = 0 :: else fi };
#else
#ifdef SYNC_FAILS                                                          /* step 4 */
		if :: true :: durable[ENV(1)] = true; cut_short[ENV(1)] = true; goto end fi;
#endif
#ifndef NO_SYNC_C
		durable[1] = true;
#endif
#ifndef NO_SYNC_E
		durable[ENV(1)] = true;
#endif
#endif
#ifndef NO_SYNC_NEW
		sync_new();
#endif
		d_step { if :: lock[1] == F1 -> lock[1] = 0 :: else fi };          /* step 5 */
		acked[1] = true                                                    /* step 6 */
	} unless { dead[F1] }
end:
	atomic {
		alive[1] = false; dead[F1] = false;
#ifdef RESTORE
		fed = true;
#endif
		if :: lock[1] == F1 -> lock[1] = 0 :: else fi
	}
}

/* F2 is a shell: no sync, no lock, ln and rm. */
proctype shell() provided (!over)
{
	{
		atomic { alive[2] = true; put(TC + 1, 2) };                        /* step 1 */
#ifndef NO_FEEDER_CHECK
		if :: mem[NE] == 0 :: else -> goto end fi;                         /* step 2 */
#endif
		atomic { if :: mem[NC] == 0 -> put(NC, 2) :: else -> goto end fi };   /* ln */
		atomic { put(TC + 1, 0) };                                         /* rm */
		atomic {                                                           /* step 3: ln */
			if
			:: mem[NE] == 0 -> put(NE, ENV(2)); committed[2] = true
			:: else -> if :: mem[NC] == 2 -> put(TC + 1, 2); put(NC, 0) :: else fi; goto end
			fi
		};
		acked[2] = true
	} unless { dead[F2] }
end:
	atomic { alive[2] = false; dead[F2] = false }
}
