/*
 * The file system: names in boxes, inodes, locks, and what a power cut leaves.
 *
 * A slot is a name in a box and holds the inode that it stands for, or 0. There is one id, which both messages share;
 * a feeder that has to choose another id is out of this model, since nobody shares that one.
 *
 * mem is what running programs see, disk is what would be found after a power cut. A change is in mem alone until its
 * box is synced, or until the kernel writes it back, which it may do at any time and for each name by itself. One thing
 * is taken for granted (SPOOL-FORMAT.md 2.4): a file that has a durable name and is moved has, after a power cut, the
 * old name, the new one, or both, and never neither (-DNEITHER drops that); and to sync a box makes durable where files
 * went that were moved out of it (-DWEAK_SYNC drops that).
 */
#define TC     0   /* + message - 1: the content in tmp, under its feeder's private name */
#define NC     2   /* new/<id>.eml */
#define NE     3   /* new/<id>.envelope */
#define CC     4   /* cur/<id>.eml */
#define CE     5   /* cur/<id>.envelope */
#define CD     6   /* cur/<id>.done */
#define BC     7   /* + 0..2: contents in bad, under the id or the id and a number */
#define BE    10   /* + 0..2: the envelopes beside them */
#define MC    13   /* the content in the directory of the drainer that cannot lock */
#define ME    14   /* the envelope there */
#define SLOTS 15
#define BADS   3

/* Inodes: contents are 1 and 2. Envelopes are 3 and 4 as they were fed, 5 and 6 after a record without an outcome,
 * 7 and 8 after one that says that the first recipient is served. */
#define ENV(m)      ((m) + 2)
#define MESSAGE(i)  ((((i) - 1) % 2) + 1)
#define SERVED(i)   ((i) > 6)

/* Processes, as owners of locks. */
#define D1    1
#define D2    2
#define MOVER 3
#define F1    4
#define F2    5
#define AGENT 6   /* an agent whose drainer is dead */

byte mem[SLOTS], disk[SLOTS];
byte lock[9];        /* by inode, of a content or of a lone envelope: the owner, 0 for none */
bool cut_short[9];   /* by inode: a power cut took data */
bool durable[9];     /* by inode: data synced */
byte cuts = CUTS;    /* power cuts that may still come */
bool over;           /* nothing runs but the last drainer */
bool shut[9];        /* by inode: nobody can open it for lack of permission */
#ifdef KILLS
byte kills = KILLS;
#endif
bool dead[6];        /* by process: killed, and has not noticed yet */

/* written makes one name durable. Where the inode that stands there on the disk has moved on, its new name comes first. */
inline written(s) {
	w_i = 0;
	do
	:: w_i < SLOTS ->
		if
		:: disk[s] != mem[s] && disk[s] != 0 && w_i != s && mem[w_i] == disk[s] ->
#ifndef NEITHER
			disk[w_i] = mem[w_i]
#else
			skip
#endif
		:: else
		fi;
		w_i++
	:: else -> break
	od;
	disk[s] = mem[s];
	w_i = 0
}
hidden byte w_i, b_i;
short left_new;      /* inodes that were moved out of new since it was synced, as bits */

/* put changes a name. What stood there before may have been written back just now. */
inline put(s, v) {
	if
	:: cuts == 0
	:: cuts > 0 && disk[s] != mem[s] && mem[s] != (v) -> d_step { written(s) }
	:: cuts > 0
	fi;
#if CUTS > 0 && !defined(WEAK_SYNC)
	if :: cuts > 0 && (s) != NC && (s) != NE && (v) != 0 && (mem[NC] == (v) || mem[NE] == (v)) -> left_new = left_new | (1 << (v)) :: else fi;
#endif
	mem[s] = v
}

/* Syncs of a box. */
inline sync_new() {
	d_step {
		if
		:: cuts > 0 ->
			written(NC); written(NE);
#ifndef WEAK_SYNC
			b_i = 0;
			do
			:: b_i < SLOTS -> if :: mem[b_i] != 0 && left_new & (1 << mem[b_i]) -> written(b_i) :: else fi; b_i++
			:: else -> break
			od;
			b_i = 0; left_new = 0
#endif
		:: else
		fi
	}
}
inline sync_cur() { d_step { if :: cuts > 0 -> written(CC); written(CE); written(CD) :: else fi; unsynced[1] = 0; unsynced[2] = 0 } }
inline sync_bad() {
	d_step {
		if
		:: cuts > 0 -> b_i = 0; do :: b_i < BADS -> written(BC + b_i); written(BE + b_i); b_i++ :: else -> break od; b_i = 0
		:: else
		fi
	}
}

/* links counts the names of a content. */
inline links(c, n) {
	d_step {
		n = 0; l_i = 0;
		do
		:: l_i < SLOTS -> if :: mem[l_i] == c -> n++ :: else fi; l_i++
		:: else -> break
		od;
		l_i = 0
	}
}
hidden byte l_i;

/* What is known of the messages. */
bool alive[3];            /* by message: its feeder has begun and not ended */
bool acked[3];            /* its feeder has said that it is accepted */
bool committed[3];
bool ended[3];            /* its finish was decided, and no power cut can undo that */
#if CUTS > 0
bool loose[3];            /* a name in bad that was removed may have come back with a power cut */
#endif
bool orphaned[3];         /* and then one of its files was found alone, and set aside */
byte got[3];              /* recipients that have it: bits 1 and 2 */
byte may[3];              /* recipients that may get it again, see 13 */
byte unrecorded[3];       /* given to the agent, and not yet written down */
byte unsynced[3];         /* written down, and not yet durable */
byte by[3];               /* whose delivery is unrecorded */
byte busy[3];             /* an agent is at work on it, for this process */

/* killed is what the kernel does when a process ends: its locks go, but for one that its agent has too. */
inline killed(p) {
	dead[p] = true;
	k_i = 1;
	do
	:: k_i < 3 ->
		if
		:: by[k_i] == p -> may[k_i] = may[k_i] | unrecorded[k_i]; unrecorded[k_i] = 0; by[k_i] = 0
		:: else
		fi;
		if
		:: lock[k_i] == p ->
#ifndef NO_INHERIT
			if :: busy[k_i] == p && p != MOVER -> lock[k_i] = AGENT :: else -> lock[k_i] = 0 fi
#else
			lock[k_i] = 0
#endif
		:: else
		fi;
		if :: busy[k_i] == p -> busy[k_i] = AGENT :: else fi;
		k_i++
	:: else -> break
	od;
	do
	:: k_i < 9 -> if :: lock[k_i] == p -> lock[k_i] = 0 :: else fi; k_i++   /* of lone envelopes */
	:: else -> break
	od;
	k_i = 0
}
hidden byte k_i;
