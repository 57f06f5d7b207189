/* What ends processes, and what must hold when all has come to its end. */

/* The power is out or all is over: nobody is left, and no lock. */
inline all_killed() {
	killed(D1);
#if DRAINERS > 1
	killed(D2);
#endif
#if MOVERS > 0 || REQUEUES > 0
	killed(MOVER);
#endif
	if :: alive[1] -> killed(F1) :: else fi;
	if :: alive[2] -> killed(F2) :: else fi;
	alive[1] = false; alive[2] = false; taking = false;
	lock[1] = 0; lock[2] = 0; busy[1] = 0; busy[2] = 0
}

/* Without a power cut to come, the disk does not matter. */
inline forget() {
	k_i = 0;
	do
	:: k_i < SLOTS -> disk[k_i] = 0; k_i++
	:: else -> break
	od;
	k_i = 0;
	do
	:: k_i < 9 -> durable[k_i] = false; k_i++
	:: else -> break
	od;
	k_i = 0;
	left_new = 0
}

#if CUTS > 0
#define named(i) (disk[TC] == i || disk[TC + 1] == i || disk[NC] == i || disk[NE] == i || disk[CC] == i || disk[CE] == i || disk[CD] == i || \
	disk[MC] == i || disk[ME] == i || disk[BC] == i || disk[BE] == i || disk[BC + 1] == i || disk[BE + 1] == i)

/* A power cut: each name that is not durable is there or is not, for itself; data that is not durable is short. */
inline cut() {
	d_step {
		all_killed();
		may[1] = may[1] | unsynced[1]; unsynced[1] = 0;
		may[2] = may[2] | unsynced[2]; unsynced[2] = 0;
		if :: mem[ME] != 0 -> may[MESSAGE(mem[ME])] = 3 :: else fi;
		if :: gone != 0 -> may[gone] = 3; gone = 0 :: else fi;
#ifndef RESTORE
		acked[2] = false;
#endif
		s = BC;
		do :: s < BC + 2 * BADS -> if :: disk[s] != 0 && mem[s] != disk[s] -> loose[MESSAGE(disk[s])] = true :: else fi; s++ :: else -> break od;
		s = 0;
		do :: s < SLOTS -> was[s] = disk[s]; s++ :: else -> break od;
		s = 0
	};
	do
	:: s < SLOTS && disk[s] != mem[s] -> s++
	:: s < SLOTS -> disk[s] = mem[s]; s++
	:: s == SLOTS -> break
	od;
	s = 0;
#ifndef NEITHER
	d_step {
		do   /* a file that was moved has the new name, or still the old one: a stale name in tmp does not count */
		:: s < SLOTS ->
			if
			:: was[s] != 0 && disk[s] != was[s] ->
				x = (s < NC -> 0 : NC);
				do :: x < SLOTS && disk[x] != was[s] -> x++ :: else -> break od;
				if
				:: x == SLOTS ->
					x = (s < NC -> 0 : NC);
					do :: x < SLOTS && mem[x] != was[s] -> x++ :: else -> break od;
					if :: x < SLOTS -> disk[x] = mem[x] :: else fi
				:: else
				fi
			:: else
			fi;
			s++
		:: else -> break
		od;
		x = 0
	};
#endif
	s = 1;
	do
	:: s < 9 && !durable[s] && named(s) -> cut_short[s] = true; s++
	:: s < 9 -> s++
	:: s == 9 -> break
	od;
	s = 0;
	d_step {
		do :: s < SLOTS -> mem[s] = disk[s]; was[s] = 0; s++ :: else -> break od;
		s = 0;
		cuts--; left_new = 0;
		if :: cuts == 0 -> forget() :: else fi
	}
}
#endif

hidden byte v_m, v_k, v_e, v_c, v_pair;
byte gone;     /* the message that the mover has served and removed from its directory */

/* Two messages with one id may end in halves: under two names in bad, or the content in new. Nothing of them is lost. */
#if FEEDERS == 2 || REQUEUES > 0 || PERSONS || defined(RESTORE)   /* SENDING: for another requeue */
#define HALVES (v_e >= 1 && (v_c >= 1 || mem[NC] == v_m))
#else
#define HALVES false
#endif

/* After a power cut, names can be back in bad that were removed because nothing was decided: see 13. */
#if CUTS > 0
#define LOOSE loose[v_m]
#else
#define LOOSE false
#endif

/* All that could be done has been done. */
inline verdict() {
	d_step {
		assert(mem[NE] == 0 && mem[CE] == 0 && mem[CC] == 0 && mem[CD] == 0);
		v_m = 1;
		do
		:: v_m < 3 ->
			v_k = 0; v_e = 0; v_c = 0; v_pair = 0;
			do
			:: v_k < BADS ->
				if :: mem[BC + v_k] == v_m -> v_c++ :: else fi;
				if
				:: mem[BE + v_k] != 0 && MESSAGE(mem[BE + v_k]) == v_m ->
					v_e++;
					if :: mem[BC + v_k] == v_m -> v_pair++ :: else fi
				:: else
				fi;
				v_k++
			:: else -> break
			od;
			assert((v_c <= 1 && v_e <= 1) || PERSONS || LOOSE);
			if
			:: mem[MC] == v_m                            /* it has left the spool */
			:: mem[MC] != v_m && mem[ME] != 0 && MESSAGE(mem[ME]) == v_m -> assert(v_c == 1 || mem[NC] == v_m)
			:: gone == v_m && mem[MC] != v_m && (mem[ME] == 0 || MESSAGE(mem[ME]) != v_m)
			:: else ->
				assert(!acked[v_m] || got[v_m] == 3 || v_pair >= 1 || HALVES);   /* not lost */
#if !PERSONS && FEEDERS != 2
				assert(!orphaned[v_m] || got[v_m] != 3 || !acked[v_m]);   /* what was delivered does not look lost */
#endif
#if !PERSONS
				assert(got[v_m] != 3 || v_e == 0 || LOOSE || (may[v_m] != 0 && (!acked[v_m] || v_pair >= 1 || HALVES)))   /* nor set aside too */
#endif
			fi;
			v_m++
		:: else -> break
		od
	}
}

#ifdef KILLS
#define MORE (kills > 0)
#define SPEND kills--
#else
#define MORE true
#define SPEND skip
#endif

/* reaper kills processes, cuts the power, and at last leaves one drainer alone. */
proctype reaper()
{
	byte s, x;
	byte was[SLOTS];
	do
	:: d_step { !over && MORE; SPEND; killed(D1) }
#if DRAINERS > 1
	:: d_step { !over && MORE; SPEND; killed(D2) }
#endif
#if MOVERS > 0 || REQUEUES > 0
	:: d_step { !over && MORE; SPEND; killed(MOVER) }
#endif
	:: d_step { !over && alive[1] && MORE; SPEND; killed(F1) }
	:: d_step { !over && alive[2] && MORE; SPEND; killed(F2) }
	:: d_step { busy[1] == AGENT; busy[1] = 0; if :: lock[1] == AGENT -> lock[1] = 0 :: else fi }
	:: d_step { busy[2] == AGENT; busy[2] = 0; if :: lock[2] == AGENT -> lock[2] = 0 :: else fi }
#if CUTS > 0
	:: atomic { !over && cuts > 0; cut() }
#endif
	:: d_step { !over; all_killed(); over = true; cuts = 0; forget(); shut[1] = false; shut[3] = false; shut[5] = false; shut[7] = false } -> break
	od
}
