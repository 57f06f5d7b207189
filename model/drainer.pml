/*
 * A drainer that locks, SPOOL-FORMAT.md 9 and 10: smapd. It looks into new, then into cur, as long as there is
 * anything. The labels name the step, and the comments the state of section 7. Every atomic is one system call, so
 * anything may happen between two of them.
 *
 * 36 hours (10.1) are modelled by what they are for: no feeder still runs, no restore, and no drainer without locks is
 * between its two moves.
 */
#define PASSES 16   /* of the last drainer: enough for every state, or the judge complains */
#define WORK (mem[NC] || mem[NE] || mem[CC] || mem[CE] || mem[CD])

/* Size and checksum: the envelope is of this content, and both are whole. */
#ifdef NO_CHECKSUM
#define FITS(e, c) (!cut_short[e])
#else
#define FITS(e, c) (MESSAGE(e) == (c) && !cut_short[c] && !cut_short[e])
#endif
#ifdef NO_DONE_FITS
#define DONE_FITS(e, c) true
#else
#define DONE_FITS(e, c) FITS(e, c)
#endif
#ifdef NO_ORPHAN_TWICE
#define YOUNG(i) alive[MESSAGE(i)]
#else
#define YOUNG(i) (alive[MESSAGE(i)] || taking)
#endif

#define unlock(c) if :: c != 0 && lock[c] == me -> lock[c] = 0 :: else fi

/* move by name from one slot to another, which must be free: 0 done, 1 the old name is gone, 2 the new one is taken */
#ifndef LINKS
#define move(a, b, result) \
	atomic { \
		if \
		:: mem[a] == 0 -> result = 1 \
		:: mem[a] != 0 && mem[b] != 0 -> result = 2 \
		:: else -> put(b, mem[a]); put(a, 0); result = 0 \
		fi \
	}
#else
#define move(a, b, result) \
	atomic { \
		if \
		:: mem[a] == 0 -> result = 1 \
		:: mem[a] != 0 && mem[b] != 0 -> result = 2 \
		:: else -> put(b, mem[a]); result = 0 \
		fi \
	}; \
	atomic { \
		if \
		:: result == 0 && mem[a] != 0 -> put(a, 0) \
		:: result == 0 && mem[a] == 0 -> \
			links(mem[b], result); \
			if :: result > 1 -> put(b, 0); result = 1 :: else -> result = 0 fi \
		:: else \
		fi \
	}
#endif

/* free finds a name that is free in bad for both files. */
#define free() \
	atomic { \
		do \
		:: k < BADS && (mem[BC + k] || mem[BE + k]) -> k++ \
		:: else -> break \
		od; \
		assert(k < BADS) \
	}

proctype drainer(byte me) provided (!over || _pid == survivor)
{
	byte c, e, k, n, saw, pass, box;
	bool settled, aside_too;
	{
	skip;
back:
	atomic {
		unlock(c); c = 0; e = 0; k = 0; n = 0; box = 0; settled = false; aside_too = false;
		if :: saw != 0 && mem[NE] != saw && mem[CE] != saw -> saw = 0 :: else fi;
		if
		:: !over && WORK
		:: !over && mem[NC] -> box = NC; goto orphan
		:: !over && mem[CC] -> box = CC; goto orphan
		:: over && WORK && pass < PASSES ->
			pass++;
			if
			:: pass % 4 == 0 -> box = NC; goto orphan
			:: pass % 4 == 2 -> box = CC; goto orphan
			:: else
			fi
		:: over && !(WORK && pass < PASSES) -> goto judge
		fi
	}

	/* 9.1: READY, TAKING */
	atomic { c = mem[NC]; if :: c == 0 -> goto alone_new :: c != 0 && shut[c] -> c = 0; goto in_cur :: else fi };
#ifndef NO_LOCK
	atomic { if :: lock[c] == 0 -> lock[c] = me :: else -> c = 0; goto in_cur fi };
#endif
#ifndef NO_VERIFY
	atomic { if :: mem[NC] == c :: else -> goto in_cur fi };
#endif
#ifdef CUR_ORDER
	n = (mem[CE] != 0);
	atomic { if :: mem[CC] != 0 -> n = 0; goto in_cur :: else fi };
	if :: n == 1 -> n = 0; goto move_content :: else fi;
#else
	atomic { if :: mem[CC] == c -> put(NC, 0); goto in_cur :: else fi };                                /* B */
#ifndef NO_CUR_CHECK
	atomic { if :: mem[CC] != 0 -> goto in_cur :: else fi };
#endif
#ifndef NO_DONE_CHECK
	atomic { if :: mem[CD] != 0 -> goto in_cur :: else fi };
#endif
	atomic { if :: mem[CE] != 0 -> goto move_content :: else fi };
#endif
	move(NE, CE, n);                                                                                    /* this decides */
	atomic { if :: n != 0 -> n = 0; goto in_cur :: else fi };
move_content:
	move(NC, CC, n);
	atomic { if :: n != 0 -> n = 0; goto in_cur :: else fi };
#ifndef NO_VERIFY_CUR
	atomic { if :: mem[CC] == c -> goto recover :: else -> goto back fi };
#else
	goto recover;
#endif

in_cur:
	atomic {
		unlock(c);
		c = mem[CC];
		if :: c == 0 -> goto alone_cur :: else fi
	};
	if
#ifdef UNREADABLE_ASIDE   /* the old rule: it is set aside, and the content stays */
	:: shut[c] -> k = 0; free(); move(CE, BE + k, n); c = 0; goto back
#else
	:: shut[c] -> c = 0; goto back
#endif
	:: else
	fi;
#ifndef NO_LOCK_CUR
	atomic { if :: lock[c] == 0 -> lock[c] = me :: else -> c = 0; goto back fi };
#endif
#ifndef NO_VERIFY
	atomic { if :: mem[CC] == c :: else -> goto back fi };
#endif

	/* 10.2. Older names: B */
recover:
#ifndef NO_OLDER_CONTENT
	atomic { if :: mem[NC] == c && mem[CC] == c -> put(NC, 0) :: else fi };
#endif
	atomic { e = mem[CE]; if :: e == 0 -> goto no_envelope :: else fi };
#ifndef NO_OLDER_ENVELOPE
	atomic { if :: mem[NE] == e && mem[CE] == e -> put(NE, 0) :: else fi };
#endif
#ifndef NO_BAD_NAMES
	do
	:: k < BADS ->
		atomic {
			if
#ifndef NO_ASIDE_DECIDED
			:: mem[BC + k] && mem[BE + k] && (mem[BC + k] == c || mem[BE + k] == e) -> aside_too = true
#endif
			:: mem[BC + k] == c && mem[BE + k] == 0 && mem[CC] == c -> put(BC + k, 0)
			:: mem[BE + k] == e && mem[BC + k] == 0 && mem[CE] == e -> put(BE + k, 0)
			:: else
			fi;
			k++
		}
	:: else -> k = 0; break
	od;
#endif
	if :: aside_too -> goto decided :: else fi;
#ifdef DONE_COUNTS   /* .done before .envelope */
	atomic { if :: mem[CD] != 0 && DONE_FITS(mem[CD], c) -> e = mem[CD]; goto is_done :: else fi };
#endif
#ifndef NO_UNDONE
	atomic { if :: mem[CD] != 0 -> put(CD, 0) :: else fi };                                             /* UNDONE */
#endif
	goto owned;

no_envelope:
	do   /* LEFT */
	:: k < BADS ->
		atomic { if :: mem[BC + k] == c && mem[BE + k] != 0 -> goto decided :: mem[BC + k] == c && mem[BE + k] == 0 && mem[CC] == c -> put(BC + k, 0) :: else fi; k++ }
	:: else -> k = 0; break
	od;
	atomic { e = mem[CD]; if :: e != 0 && shut[e] -> goto back :: e != 0 && !shut[e] && DONE_FITS(e, c) -> goto is_done :: else fi };
#ifdef DONE_BY_ABSENCE   /* the old rule */
	sync_new(); sync_cur();
	atomic { put(CC, 0); goto back };
#endif
	atomic { if :: e != 0 && mem[CD] == e -> put(CD, 0); goto back :: e != 0 && mem[CD] != e -> goto back :: else fi };   /* STALE */
	atomic { if :: mem[NE] == 0 || mem[NC] != 0 -> goto back :: else fi };
	move(NE, CE, n);                                                                                    /* SPLIT */
	if :: n != 0 -> goto back :: else -> goto recover fi;

	/* DONE, whose drainer died */
is_done:
#ifndef NO_DONE_NAMES
	atomic { if :: mem[NE] != 0 && mem[NE] == mem[CD] -> put(NE, 0) :: else fi };                       /* B */
#endif
#ifndef NO_DONE_SYNC
	sync_new();
	sync_cur();
#endif
	goto remove;

	/* 9.3 */
owned:
	atomic {
#if PERSONS
		if :: mem[CC] != c || mem[CE] != e -> goto back :: else fi;
#endif
		if :: shut[e] -> goto back :: else fi;
#if CUTS == 0 && !PERSONS && !defined(RESTORE)
		assert(MESSAGE(e) == c);                 /* never beside another's content */
#endif
		if
		:: !FITS(e, c) -> assert(!acked[c] || FEEDERS == 2 || PERSONS); goto aside
		:: else
		fi
	};
attempt:
	atomic {
		if
		:: true ->
#ifdef LEAN
			n = 3;
#else
			n = (SERVED(e) -> 2 : 1);
#endif
			assert(busy[c] == 0);                /* never two agents at once */
			assert(committed[c]);
			assert(MESSAGE(e) == c && !cut_short[c]);   /* never another's content, never in part */
			assert(!(got[c] & n) || (may[c] & n));   /* twice only as 13 says */
			busy[c] = me; by[c] = me; got[c] = got[c] | n; may[c] = may[c] & (3 - n); unrecorded[c] = n
#ifndef LEAN
		:: !over -> n = 0; goto record           /* to be tried again */
		:: !over -> goto aside                   /* failed for good */
#endif
		fi
	};
	busy[c] = 0;
	if :: n >= 2 -> n = 0; goto finish :: else fi;

	/* 9.4 */
record:
#ifndef NO_SETTLE
	if :: !settled -> sync_new(); sync_cur(); settled = true :: else fi;                                /* step 1 */
#endif
	atomic {                                                                                            /* steps 2 to 4 */
		if :: mem[CE] != e -> goto lost_it :: else fi;
		e = (n == 1 || SERVED(e) -> c + 6 : c + 4);
		durable[e] = true;
#ifdef NO_RECORD_FSYNC
		durable[e] = false;
#endif
		put(CE, e);
		unsynced[c] = unsynced[c] | unrecorded[c]; unrecorded[c] = 0; by[c] = 0
	};
#ifndef NO_RECORD_SYNC
	sync_cur();                                                                                         /* step 5 */
#endif
	if
	:: n == 1 -> n = 0; goto attempt
	:: else -> goto back
	fi;

	/* 9.5 */
finish:
#ifdef FINISH_ORDER
	atomic { put(CC, 0) };
#endif
	atomic {
		if :: mem[CE] != e -> goto lost_it :: else fi;
#ifndef NO_DONE
		put(CD, mem[CE]);
#endif
#if CUTS == 0
		ended[c] = true;
#endif
		put(CE, 0); unsynced[c] = unsynced[c] | unrecorded[c]; unrecorded[c] = 0; by[c] = 0
	};
#ifndef NO_FINISH_SYNC
#ifndef NO_FINISH_SYNC_NEW
	sync_new();
#endif
	sync_cur();
#endif
remove:
	atomic { ended[c] = true; if :: mem[CC] == c -> put(CC, 0) :: else fi };
#ifdef UNLOCK_LATE
	skip;
#else
	atomic { unlock(c); c = 0 };
#endif
#ifndef EARLY_DONE
	sync_cur();
#endif
	atomic { if :: mem[CD] == e -> put(CD, 0) :: else fi };
	goto back;

	/* A person has taken the envelope away. */
lost_it:
	atomic { may[c] = may[c] | unrecorded[c]; unrecorded[c] = 0; by[c] = 0 };
	goto back;

	/* 9.6 */
aside:
	n = 0;
#ifndef NO_SETTLE
	if :: !settled -> sync_new(); sync_cur(); settled = true :: else fi;
#endif
	atomic {                                                                                            /* step 1 */
		if :: mem[CE] != e -> goto lost_it :: else fi;
		if :: cut_short[e] :: else -> e = (SERVED(e) -> MESSAGE(e) + 6 : MESSAGE(e) + 4); durable[e] = true; put(CE, e) fi
	};
	sync_cur();
	free();                                                                                             /* step 2 */
	atomic { if :: mem[CC] != c -> goto back :: else -> put(BC + k, c) fi };
	atomic { if :: mem[CE] != e -> goto back :: else -> put(BE + k, e) fi };
#ifndef NO_ASIDE_SYNC
	sync_bad();                                                                                         /* step 3 */
#endif
	goto leave;
decided:   /* LEFT */
	n = 0;
#ifndef NO_DECIDED_SYNC
	sync_bad();
#endif
leave:                                                                                                      /* step 4 */
	atomic { if :: mem[CE] != e -> goto lost_it :: else -> put(CE, 0) fi };
	atomic { if :: mem[CC] == c -> put(CC, 0) :: else fi };
	goto back;

	/* 10.3: ALONE */
alone_new:
	atomic { e = mem[NE]; if :: e == 0 || shut[e] || YOUNG(e) -> e = 0; goto in_cur :: else fi };
	atomic { if :: mem[NC] != 0 -> goto in_cur :: else fi };
	atomic { if :: mem[CC] != 0 -> goto in_cur :: else fi };
	atomic { if :: mem[NE] != e -> goto in_cur :: mem[NE] == e && saw != e -> saw = e; goto in_cur :: else -> saw = 0 fi };
#ifdef ALONE_BY_CUR
	atomic { if :: mem[CC] != 0 -> goto in_cur :: else fi };
	move(NE, CE, n);
	atomic { if :: n != 0 -> n = 0; goto in_cur :: else -> goto alone_cur fi };
#endif
	box = NE;
	goto alone_lock;
alone_cur:
	atomic { e = mem[CE]; if :: e == 0 && mem[CD] == 0 -> goto back :: mem[CD] != 0 -> e = mem[CD]; goto lone_done :: else fi };
	atomic { if :: shut[e] || YOUNG(e) -> goto back :: else fi };
	atomic { if :: mem[NC] != 0 -> goto back :: else fi };
	atomic { if :: mem[CC] != 0 -> goto back :: else fi };
	atomic { if :: mem[CE] != e -> goto back :: mem[CE] == e && saw != e -> saw = e; goto back :: else -> saw = 0 fi };
	box = CE;
alone_lock:
#ifndef NO_ALONE_LOCK
	atomic { if :: lock[e] == 0 -> lock[e] = me; c = e :: else -> goto back fi };                       /* c: what is locked */
	atomic { if :: mem[NC] != 0 -> goto back :: else fi };
	atomic { if :: mem[CC] != 0 -> goto back :: else fi };
	atomic { if :: mem[box] != e -> goto back :: else fi };
#ifndef NO_ALONE_NAMES
	atomic { if :: mem[NE] == e && mem[CE] == e -> put(NE, 0); goto back :: else fi };                  /* B */
	do
	:: k < BADS ->
		atomic {
			if
			:: mem[BE + k] == e && mem[BC + k] != 0 -> put(box, 0); goto back
			:: mem[BE + k] == e && mem[BC + k] == 0 && mem[box] == e -> put(BE + k, 0)
			:: else
			fi;
			k++
		}
	:: else -> k = 0; break
	od;
#endif
#endif
	free();
	move(box, BE + k, n);
	atomic { if :: n != 0 -> goto back :: n == 0 && ended[MESSAGE(e)] -> orphaned[MESSAGE(e)] = true :: else fi };
	sync_bad();
#ifndef NO_ALONE_SYNC
	sync_new();
	sync_cur();
#endif
	atomic {   /* the reason; a person may have taken it away */
		if
		:: mem[BE + k] == e && !cut_short[e] -> e = (SERVED(e) -> MESSAGE(e) + 6 : MESSAGE(e) + 4); durable[e] = true; put(BE + k, e)
		:: else
		fi
	};
	sync_bad();
	goto back;

	/* 10.3: ENDED */
lone_done:
#ifndef NO_ENDED_LOCK
	atomic { if :: lock[e] == 0 -> lock[e] = me; c = e :: else -> goto back fi };
	atomic { if :: mem[CD] == e :: else -> goto back fi };
#endif
	atomic { if :: mem[CC] == 0 :: else -> goto back fi };
	atomic { if :: mem[NE] == e && mem[CD] == e -> put(NE, 0) :: else fi };   /* B */
#ifndef NO_ENDED_SYNC
	sync_cur();
#endif
	atomic { if :: mem[CD] == e -> put(CD, 0) :: else fi };
	goto back;

	/* 10.2: HALF, LOST */
orphan:
	atomic { c = mem[box]; if :: c == 0 || shut[c] || YOUNG(c) -> c = 0; goto back :: else fi };
	atomic { if :: lock[c] == 0 -> lock[c] = me :: else -> c = 0; goto back fi };
	atomic { if :: mem[box] == c :: else -> goto back fi };
	atomic { if :: (mem[NE] != 0 && (box == NC || mem[NC] == 0)) || YOUNG(c) -> goto back :: else fi };
	atomic { if :: mem[CE] != 0 -> goto back :: else fi };
	atomic { if :: box == CC && mem[CD] != 0 -> goto back :: else fi };
	atomic { if :: box == NC && mem[BE] != 0 -> goto back :: else fi };                                 /* SENDING */
#ifndef NO_ORPHAN_SINGLE
	atomic { if :: mem[NC] == c && mem[CC] == c -> goto back :: else fi };                              /* B comes first */
#endif
	do   /* LEFT is not LOST */
	:: k < BADS ->
		atomic {
			if
			:: mem[BC + k] == c && mem[BE + k] != 0 -> goto back
#ifndef NO_ORPHAN_NAMES
			:: mem[BC + k] == c && mem[BE + k] == 0 && mem[box] == c -> put(BC + k, 0)
#endif
			:: else
			fi;
			k++
		}
	:: else -> k = 0; break
	od;
	free();
	move(box, BC + k, n);
	if :: n == 0 && ended[c] -> orphaned[c] = true :: else fi;
	sync_bad();
	sync_new();
	sync_cur();
	goto back
	} unless {
		atomic {
			dead[me];
			dead[me] = false; c = 0; e = 0; k = 0; n = 0; box = 0; saw = 0; settled = false; aside_too = false;
			goto back
		}
	}
judge:
	verdict()
}
