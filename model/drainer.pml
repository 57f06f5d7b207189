/*
 * A drainer that locks, SPOOL-FORMAT.md 9 and 10: smapd. It looks into new, then into cur, as long as there is
 * anything. The labels name the step, and the comments the state of section 7 in which it is taken. Every atomic is one
 * system call, so anything may happen between two of them.
 *
 * A minute (10.1, 10.3) is modelled by what it is for: nobody who still runs is between ln and rm for so long. So are
 * 36 hours (10.4): no feeder still runs.
 */
#define PASSES 8   /* of the last drainer: enough for every state, or the judge complains */

/* An orphan is looked at twice, a minute apart: the mover is not between its two moves for so long. */
#ifdef NO_ORPHAN_TWICE
#define ORPHAN_GUARD false
#else
#define ORPHAN_GUARD taking
#endif
#define WORK (mem[NC] || mem[NE] || mem[CC] || mem[CE])

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

proctype drainer(byte me) provided (!over || _pid == survivor)
{
	byte c, e, k, n, saw, pass, box;
	bool settled, malformed, seen;
	{
	skip;
back:
	atomic {
		unlock(c); c = 0; e = 0; k = 0; n = 0; box = 0; settled = false; malformed = false; seen = false;
		if :: saw != 0 && mem[NE] != saw && mem[CE] != saw -> saw = 0 :: else fi;
		if
		:: !over && WORK
		:: !over && mem[NC] -> goto orphan
		:: over && WORK && pass < PASSES -> pass++; if :: pass % 2 == 0 -> goto orphan :: else fi
		:: over && !(WORK && pass < PASSES) -> goto judge
		fi
	}

	/* 9.1: READY, TAKING */
	atomic { c = mem[NC]; if :: c == 0 -> goto alone_new :: else fi };                                  /* step 1 */
#ifndef NO_LOCK
	atomic { if :: lock[c] == 0 -> lock[c] = me :: else -> c = 0; goto in_cur fi };                     /* step 2 */
#endif
#ifndef NO_VERIFY
	atomic { if :: mem[NC] == c :: else -> goto in_cur fi };                                            /* step 3 */
#endif
	atomic {
		links(c, n);
		if
		:: n > 1 && linking[c] -> goto in_cur
		:: n > 1 && !linking[c] && mem[TC + c - 1] == c -> put(TC + c - 1, 0)                           /* 10.3 */
		:: else
		fi
	};
	do
	:: n > 1 && k < BADS ->
#if REQUEUES > 0
		atomic { if :: mem[BC + k] == c && mem[BE + k] != 0 && mem[BE + k] == mem[NE] -> put(BE + k, 0) :: else fi };
#endif
		atomic { if :: mem[BC + k] == c && mem[BE + k] == 0 -> put(BC + k, 0) :: else fi; k++ }
	:: else -> break
	od;
	atomic { links(c, n); malformed = (n > 1); n = 0; k = 0 };
#ifdef CUR_ORDER
	seen = (mem[CE] != 0);
	atomic { if :: mem[CC] != 0 -> goto in_cur :: else fi };
	if :: seen -> seen = false; goto move_content :: else fi;
#else
#ifndef NO_CUR_CHECK
	atomic { if :: mem[CC] != 0 -> goto in_cur :: else fi };                                            /* step 4 */
#endif
	atomic { if :: mem[CE] != 0 -> goto move_content :: else fi };
#endif
	move(NE, CE, n);                                                                                    /* step 5 */
	atomic { if :: n != 0 -> n = 0; goto in_cur :: else fi };
move_content:
	move(NC, CC, n);                                                                                    /* step 6 */
	atomic { if :: n != 0 -> n = 0; goto in_cur :: else fi };
#ifndef NO_VERIFY_CUR
	atomic { if :: mem[CC] == c -> goto owned :: else -> goto back fi };                                /* step 7 */
#else
	goto owned;
#endif

	/* OWNED, deferred or abandoned; DONE; LEAVING; LEFT */
in_cur:
	atomic {
		unlock(c); malformed = false;
		c = mem[CC];
		if :: c == 0 -> goto alone_cur :: else fi
	};
#ifndef NO_LOCK_CUR
	atomic { if :: lock[c] == 0 -> lock[c] = me :: else -> c = 0; goto back fi };
#endif
#ifndef NO_VERIFY
	atomic { if :: mem[CC] == c :: else -> goto back fi };
#endif
	atomic { links(c, n); if :: n > 1 && linking[c] -> goto back :: else fi };
	atomic { if :: n > 1 && mem[TC + c - 1] == c -> put(TC + c - 1, 0) :: else fi };                    /* 10.3 */
	atomic { if :: n > 1 && mem[NC] == c -> put(NC, 0) :: else fi };
	do
	:: n > 1 && k < BADS ->
		atomic {
			if
			:: mem[BC + k] == c && mem[BE + k] == 0 -> put(BC + k, 0)
#ifndef NO_ASIDE_TWICE
			:: mem[BC + k] == c && mem[BE + k] != 0 && mem[BE + k] == mem[CE] -> put(CE, 0)
#endif
			:: else
			fi;
			k++
		}
	:: else -> break
	od;
	atomic { links(c, n); malformed = (n > 1); n = 0; k = 0 };
	atomic { if :: mem[CE] != 0 -> goto verify :: else fi };                                            /* 10.1 */
	atomic { seen = (mem[NE] != 0) };
	if
	:: seen ->
		seen = false;
#ifndef NO_PAIR_CHECK
		atomic { if :: mem[NC] != 0 -> goto remove :: else fi };
#endif
		move(NE, CE, n);
		if :: n != 0 -> goto back :: else -> goto verify fi
	:: else
	fi;
remove:
#ifndef NO_DONE_SYNC
	sync_new();
	sync_cur();
#endif
	atomic { put(CC, 0); goto back };
verify:
	atomic { if :: mem[CC] == c :: else -> goto back fi };

	/* 9.3 */
owned:
#if REQUEUES > 0 && !defined(NO_SENT_ENVELOPE)
	do   /* 10.3 */
	:: k < BADS -> atomic { if :: mem[BE + k] != 0 && mem[BE + k] == mem[CE] -> put(BE + k, 0) :: else fi; k++ }
	:: else -> k = 0; break
	od;
#endif
#ifndef NO_OLDER_ENVELOPE
	atomic { if :: mem[NE] != 0 && mem[NE] == mem[CE] -> put(NE, 0) :: else fi };                       /* 10.3 */
#endif
	atomic {
		e = mem[CE];
		if :: e == 0 -> goto back :: else fi;
		assert(MESSAGE(e) == c);                 /* never another's content */
		if
		:: cut_short[e] || cut_short[c] -> assert(!acked[c]); goto aside
		:: malformed && !cut_short[e] && !cut_short[c] -> goto aside
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
	atomic { assert(mem[CE] == e) };                                                                    /* step 3 */
	atomic {                                                                                            /* steps 2, 4 */
		e = (n == 1 || SERVED(e) -> c + 6 : c + 4);
		durable[e] = true;
#ifdef NO_RECORD_FSYNC
		durable[e] = false;
#endif
		put(CE, e);
		unsynced[c] = unrecorded[c]; unrecorded[c] = 0; by[c] = 0
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
	atomic { put(CE, 0); unsynced[c] = unsynced[c] | unrecorded[c]; unrecorded[c] = 0; by[c] = 0 };
#ifndef NO_FINISH_SYNC
#ifndef NO_FINISH_SYNC_NEW
	sync_new();
#endif
	sync_cur();
#endif
#ifndef FINISH_ORDER
	atomic { put(CC, 0) };
#endif
	goto back;

	/* 9.6: OWNED, LEAVING, LEFT, ASIDE */
aside:
	n = 0;
#ifndef NO_SETTLE
	if :: !settled -> sync_new(); sync_cur(); settled = true :: else fi;
#endif
	atomic { assert(mem[CE] == e) };
	atomic {                                                                                            /* step 1 */
		if :: cut_short[e] :: else -> e = (SERVED(e) -> c + 6 : c + 4); durable[e] = true; put(CE, e) fi
	};
	sync_cur();
	atomic {                                                                                            /* step 2 */
		do
		:: k < BADS && (mem[BC + k] || mem[BE + k]) -> k++
		:: else -> break
		od;
		assert(k < BADS);
		put(BC + k, c)
	};
#ifndef NO_ASIDE_SYNC
	sync_bad();
#endif
	move(CE, BE + k, n);                                                                                /* step 3 */
	assert(n == 0);
	sync_bad();
	sync_cur();
	atomic { put(CC, 0) };                                                                              /* step 4 */
	goto back;

	/* 10.1: ALONE */
alone_new:
	atomic { e = mem[NE]; if :: e == 0 -> goto in_cur :: else fi };
	atomic { if :: mem[NC] != 0 -> goto in_cur :: else fi };
	atomic { if :: mem[CC] != 0 -> goto in_cur :: else fi };
#ifndef NO_TWICE
	atomic { if :: mem[NE] != e -> goto in_cur :: mem[NE] == e && saw != e -> saw = e; goto in_cur :: else -> saw = 0 fi };
#endif
#ifdef ALONE_BY_CUR
	atomic { if :: mem[CC] != 0 -> goto in_cur :: else fi };
	move(NE, CE, n);
	atomic { if :: n != 0 -> n = 0; goto in_cur :: else -> goto alone_cur fi };
#endif
	box = NE;
	goto alone_lock;
alone_cur:
	atomic { e = mem[CE]; if :: e == 0 -> goto back :: else fi };
	atomic { if :: mem[NC] != 0 -> goto back :: else fi };
	atomic { if :: mem[CC] != 0 -> goto back :: else fi };
#ifndef NO_TWICE
	atomic { if :: mem[CE] != e -> goto back :: mem[CE] == e && saw != e -> saw = e; goto back :: else -> saw = 0 fi };
#endif
	box = CE;
alone_lock:
#ifndef NO_ALONE_LOCK
	atomic { if :: lock[e] == 0 -> lock[e] = me; c = e :: else -> goto back fi };                       /* c: what is locked */
	atomic { if :: mem[NC] != 0 -> goto back :: else fi };
	atomic { if :: mem[CC] != 0 -> goto back :: else fi };
	atomic { if :: mem[box] != e -> goto back :: else fi };
#ifndef NO_ALONE_NAMES
	atomic { if :: mem[NE] == e && mem[CE] == e -> put(NE, 0); goto back :: else fi };                  /* 10.3 */
	do
	:: k < BADS -> atomic { if :: mem[BE + k] == e -> put(box, 0); goto back :: else fi; k++ }
	:: else -> k = 0; break
	od;
#endif
#endif
	atomic {
		do
		:: k < BADS && (mem[BC + k] || mem[BE + k]) -> k++
		:: else -> break
		od;
		assert(k < BADS)
	};
	move(box, BE + k, n);
	atomic { if :: n != 0 -> goto back :: else fi };
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

	/* 10.4: ORPHAN */
orphan:
	atomic { c = mem[NC]; if :: c == 0 || alive[c] || taking -> c = 0; goto back :: else fi };
	atomic { if :: lock[c] == 0 -> lock[c] = me :: else -> c = 0; goto back fi };
	atomic { if :: mem[NC] == c :: else -> goto back fi };
	atomic { if :: mem[NE] != 0 || ORPHAN_GUARD -> goto back :: else fi };
	atomic { if :: mem[CE] != 0 -> goto back :: else fi };
	atomic { if :: mem[BE] != 0 -> goto back :: else fi };
#ifndef NO_ORPHAN_NAMES
	do
	:: k < BADS -> atomic { if :: mem[BC + k] == c && mem[BE + k] == 0 -> put(BC + k, 0) :: else fi; k++ }
	:: else -> k = 0; break
	od;
#endif
	atomic {
		do
		:: k < BADS && (mem[BC + k] || mem[BE + k]) -> k++
		:: else -> break
		od;
		assert(k < BADS)
	};
	move(NC, BC + k, n);
	sync_bad();
	sync_new();
	goto back
	} unless {
		atomic {
			dead[me];
			dead[me] = false; c = 0; e = 0; k = 0; n = 0; box = 0; saw = 0; settled = false; malformed = false; seen = false;
			goto back
		}
	}
judge:
	verdict()
}
