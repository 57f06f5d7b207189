/*
 * Single-file drops, SPOOL-FORMAT.md A.3, for ./run -DDROP: one drop for two recipients, two drainers, each killed
 * at any step, and CUTS power cuts.
 *
 * A drop gets a fresh id each time it is taken; TAKES of them are enough for what a power cut can bring back.
 * Asserted: an accepted drop is delivered to both, by one at a time; twice only to whom section 13 allows.
 */
#ifndef DRAINERS
#define DRAINERS 2
#endif
#ifndef CUTS
#define CUTS 0
#endif
#define TAKES 2

#define TM     0            /* the drop in tmp, under its feeder's private name */
#define NM     1            /* new/<name>.mail */
#define CM(i) (2 + (i))     /* cur/<fresh>.mail, one for each time that it is taken */
#define CC(i) (4 + (i))     /* cur/<fresh>.eml */
#define CE(i) (6 + (i))     /* cur/<fresh>.envelope */
#define CD(i) (8 + (i))     /* cur/<fresh>.done */
#define BM    10            /* set aside: it must not come to that */
#define SLOTS 11
#define IS_M(s) ((s) < 4 || (s) == BM)
#define IS_E(s) ((s) == 6 || (s) == 7)   /* its .done is the slot after the next */

byte mem[SLOTS], disk[SLOTS];   /* 1; an envelope with an outcome for the first recipient is 2; a content is its inode */
byte lock_m, lock_c[TAKES];  /* the drop's owner, and of each content */
byte held[3];                /* by drainer: the content's inode that it has open, whose number is not used again */
byte used;                   /* fresh ids */
byte cuts = CUTS;
bool over, acked, alive;
byte busy;                   /* whose delivery is under way */
byte got, may;               /* recipients that have it, that may get it again: bits 1 and 2 */
byte unrecorded, unsynced;   /* that have it, which is not written down; which is, and is not durable */
bool dead[4];                /* by process: 1 and 2 drain, 3 feeds */
byte survivor;

inline put(s, v) {
	if
	:: cuts == 0
	:: cuts > 0 && disk[s] != mem[s] -> d_step { written(s) }
	:: cuts > 0
	fi;
	mem[s] = v
}

/* written makes one name durable; where it is gone and is the drop's, so is the one to which the drop has moved. */
inline written(s) {
	if
	:: IS_M(s) && disk[s] && !mem[s] ->
		w_i = 0;
		do :: w_i < SLOTS -> if :: IS_M(w_i) && mem[w_i] -> disk[w_i] = true :: else fi; w_i++ :: else -> break od;
		w_i = 0
	:: IS_E(s) && disk[s] && !mem[s] && mem[s + 2] -> disk[s + 2] = mem[s + 2]
	:: else
	fi;
	disk[s] = mem[s]
}
hidden byte w_i;

inline sync_new() {
	d_step {
		if
		:: cuts > 0 -> written(NM); if :: mem[CM(0)] -> written(CM(0)) :: else fi; if :: mem[CM(1)] -> written(CM(1)) :: else fi
		:: else
		fi
	}
}
inline sync_cur() {
	d_step {
		if
		:: cuts > 0 -> written(CM(0)); written(CM(1)); written(CC(0)); written(CC(1)); written(CE(0)); written(CE(1)); written(CD(0)); written(CD(1))
		:: else
		fi;
		unsynced = 0
	}
}
#define names_of_m (mem[TM] + mem[NM] + mem[CM(0)] + mem[CM(1)] + mem[BM])

/* deliver gives it to some of the recipients. */
inline deliver(n) {
	assert(busy == 0);
	assert(!(got & (n) & ~may));
	busy = me; got = got | (n); may = may & ~(n); unrecorded = unrecorded | (n)
}
/* told is the step that says so, when it is done. */
inline told() { busy = 0; unsynced = unsynced | unrecorded; unrecorded = 0 }

proctype feeder() provided (!over)
{
	{
		atomic { mem[TM] = 1 };
		atomic { put(NM, 1) };   /* ln, the commit; the drop itself was synced before */
		atomic { put(TM, 0) }; /* rm */
		sync_new();
		acked = true
	} unless { dead[3] }
end:
	atomic { alive = false; dead[3] = false }
}

#define WORK (mem[NM] || mem[CM(0)] || mem[CM(1)] || mem[CC(0)] || mem[CC(1)] || mem[CE(0)] || mem[CE(1)] || mem[CD(0)] || mem[CD(1)])
#define PASSES 8

proctype drainer(byte me) provided (!over || _pid == survivor)
{
	byte i, n, pass;
	bool built;
	{
	skip;
back:
	atomic {
		if :: lock_m == me -> lock_m = 0 :: else fi;
		if :: lock_c[0] == me -> lock_c[0] = 0 :: else fi;
		if :: lock_c[1] == me -> lock_c[1] = 0 :: else fi;
		held[me] = 0; built = false; n = 0;
		if
		:: !over && mem[NM] -> goto in_new
		:: !over && (mem[CM(0)] || mem[CC(0)] || mem[CE(0)] || mem[CD(0)]) -> i = 0
		:: !over && (mem[CM(1)] || mem[CC(1)] || mem[CE(1)] || mem[CD(1)]) -> i = 1
		:: over && WORK && pass < PASSES ->
			pass++; i = pass % 2;
			if :: mem[NM] && pass % 3 == 1 -> goto in_new :: else fi
		:: over && !(WORK && pass < PASSES) -> goto judge
		fi
	};
	if :: mem[CM(i)] -> goto in_cur :: !over || !mem[CM(i)] -> goto claim fi;

	/* DROP: A.3 steps 1 and 2 */
in_new:
	atomic { if :: mem[NM] && lock_m == 0 -> lock_m = me :: else -> goto back fi };
	atomic { if :: mem[NM] :: else -> goto back fi };
#ifndef NO_OLDER_MAIL
	atomic { if :: mem[CM(0)] || mem[CM(1)] -> put(NM, 0); goto back :: else fi };   /* B */
#endif
	atomic { assert(used < TAKES); i = used; used++; put(CM(i), 1); put(NM, 0) };
	goto build;

	/* MAKING, MADE */
in_cur:
	atomic { if :: mem[CM(i)] && lock_m == 0 -> lock_m = me :: else -> goto back fi };
	atomic { if :: mem[CM(i)] :: else -> goto back fi };
	atomic { if :: mem[NM] -> put(NM, 0) :: else fi };                            /* B */
#ifdef ENVELOPE_ALONE
	built = (mem[CE(i)] != 0);
#else
	atomic { built = (mem[CE(i)] && mem[CC(i)]) };
#endif
	atomic { if :: mem[CM(i)] :: else -> goto back fi };
#ifndef NO_DONE_DROP
	if :: mem[CD(i)] -> built = true :: else fi;                                  /* it was delivered */
#endif
	if
	:: built ->
#ifndef NO_MADE_SYNC
		sync_cur();
#endif
		atomic { put(CM(i), 0) };
		goto back
	:: else
	fi;
	atomic { put(CE(i), 0) };
	atomic { put(CC(i), 0) };

	/* A.3 steps 3 to 5; both files are synced in tmp */
build:
	n = 0;
#ifndef NO_SYNC_NEW
	sync_new();
#endif
#ifdef ENVELOPE_FIRST
	atomic { put(CE(i), 1) };
	atomic { lock_c[i] = me; put(CC(i), (held[3 - me] == 1 -> 2 : 1)) };
#else
	atomic { lock_c[i] = me; put(CC(i), (held[3 - me] == 1 -> 2 : 1)) };
	atomic { put(CE(i), 1) };
#endif
#ifndef NO_BUILD_SYNC
	sync_cur();
#endif
	atomic { put(CM(i), 0) };
	atomic { if :: lock_m == me -> lock_m = 0 :: else fi };
	goto owned;

	/* OWNED, DONE, ENDED */
claim:
	atomic { if :: mem[CC(i)] == 0 && mem[CE(i)] == 0 && mem[CD(i)] -> goto ended :: else fi };
	atomic { if :: mem[CC(i)] && lock_c[i] == 0 -> lock_c[i] = me; held[me] = mem[CC(i)] :: else -> goto back fi };
#ifndef NO_MAIL_CHECK
	atomic { if :: mem[CM(i)] -> goto back :: else fi };
#endif
	atomic { if :: mem[CE(i)] -> goto verify :: else fi };
	atomic { if :: mem[CD(i)] :: else -> goto back fi };
	sync_new(); sync_cur();
	goto remove;
verify:
	atomic { if :: mem[CC(i)] == held[me] :: else -> goto back fi };     /* 9.1 */
owned:
	atomic { n = (mem[CE(i)] == 2 -> 2 : 3); if :: !over && n == 3 -> n = 1 :: true fi; deliver(n) };
	if
	:: n == 1 -> sync_new(); sync_cur(); goto record                     /* 9.4 step 1 */
	:: else
	fi;
	n = 0;
	atomic { put(CD(i), mem[CE(i)]); put(CE(i), 0); told() };
	sync_new();
	sync_cur();
remove:
	atomic { if :: mem[CC(i)] == held[me] -> put(CC(i), 0) :: else fi };
	goto sync_ended;
ended:
	atomic { if :: mem[CM(i)] -> goto back :: else fi };                          /* 10.3 */
sync_ended:
	sync_cur();
	atomic { if :: mem[CC(i)] == 0 -> put(CD(i), 0) :: else fi };
	goto back;
record:
	atomic { if :: n == 1 -> put(CE(i), 2) :: else fi; n = 0; told() };
	sync_cur();
	goto back
	} unless {
		atomic { dead[me]; dead[me] = false; held[me] = 0; built = false; i = 0; n = 0; goto back }
	}
judge:
	atomic {
		assert(!WORK && !mem[BM]);
		assert(!acked || got == 3)
	}
}

inline killed(p) {
	dead[p] = true;
	if :: busy == p -> busy = 0; may = may | unrecorded; unrecorded = 0 :: else fi;
	if :: lock_m == p -> lock_m = 0 :: else fi;
	if :: lock_c[0] == p -> lock_c[0] = 0 :: else fi;
	if :: lock_c[1] == p -> lock_c[1] = 0 :: else fi
}
inline all_killed() { killed(1); killed(2); if :: alive -> killed(3) :: else fi }

proctype reaper()
{
	byte s;
	bool durable, left;
	byte had[2];
	do
	:: d_step { !over; killed(1) }
#if DRAINERS > 1
	:: d_step { !over; killed(2) }
#endif
	:: d_step { !over && alive; killed(3) }
#if CUTS > 0
	:: atomic {
		!over && cuts > 0;
		d_step {
			all_killed();
			may = may | unsynced; unsynced = 0;
			durable = disk[NM] || disk[CM(0)] || disk[CM(1)];
			left = mem[NM] || mem[CM(0)] || mem[CM(1)];
			had[0] = disk[CE(0)]; had[1] = disk[CE(1)];
			s = 0
		};
		do
		:: s < SLOTS && disk[s] != mem[s] -> s++
		:: s < SLOTS -> disk[s] = mem[s]; s++
		:: s == SLOTS -> break
		od;
		d_step {
			s = 0;
			if
			:: durable && left && !(disk[NM] || disk[CM(0)] || disk[CM(1)]) ->   /* never neither: 2.4 */
				disk[NM] = mem[NM]; disk[CM(0)] = mem[CM(0)]; disk[CM(1)] = mem[CM(1)]
			:: else
			fi;
			if :: had[0] && mem[CD(0)] && !disk[CE(0)] -> disk[CD(0)] = mem[CD(0)] :: else fi;
			if :: had[1] && mem[CD(1)] && !disk[CE(1)] -> disk[CD(1)] = mem[CD(1)] :: else fi;
			had[0] = 0; had[1] = 0;
			/* Whose .done is there, alone, is never delivered again. */
			if :: disk[CD(0)] && !disk[CE(0)] || disk[CD(1)] && !disk[CE(1)] -> may = 0 :: else fi;
			do :: s < SLOTS -> mem[s] = disk[s]; s++ :: else -> break od;
			s = 0; cuts--; durable = false; left = false
		}
	}
#endif
	:: d_step { !over; all_killed(); over = true; cuts = 0 } -> break
	od
}

init {
	atomic {
		alive = true;
		run reaper();
		run feeder();
		survivor = run drainer(1);
#if DRAINERS > 1
		run drainer(2)
#endif
	}
}
