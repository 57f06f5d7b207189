/*
 * A model of the spool directory format, for spin(1): ./run checks it, and that each of its checks is needed.
 *
 * Two feeders choose the same id, two drainers lock, one cannot; any of them is killed at any step, any number of times,
 * and the power goes out, CUTS times, at any step. People requeue, restore, move one file of a pair, and take away the
 * permission to read. From every state that comes about, one drainer that is left alone must bring everything to its
 * end. The switches bound a run; ./run says which.
 *
 * Asserted: no accepted message is lost, or is both delivered and set aside; none is delivered by two drainers at once,
 * or twice but for the reasons of section 13; none that was not committed, or in part; no envelope with another
 * message's content; and what was delivered does not look lost.
 *
 * Not in one run: two feeders with one id, and power cuts. An id that is used again, against section 3, within a moment of
 * a power cut can have its envelope beside the old content; Size and checksum tell. And the drainer that cannot lock, and
 * power cuts or moves by link and unlink: what is in its directory is its own affair, and where drainers that link are
 * killed between link and unlink, it can take what they deliver too.
 *
 * Left out: contents that are no files, owners, delete, failing system calls but a feeder's sync. Single-file drops are
 * in drop.pml.
 */
#ifndef FEEDERS
#define FEEDERS 2   /* 1: only F1, 2: both, 3: only F2, 0: none */
#endif
#ifndef DRAINERS
#define DRAINERS 2
#endif
#ifndef MOVERS
#define MOVERS 0
#endif
#ifndef CUTS
#define CUTS 0
#endif
#ifndef REQUEUES
#define REQUEUES 0
#endif
#ifdef PERSON
#define PERSONS 1
#else
#define PERSONS 0
#endif

#include "disk.pml"
byte survivor;   /* the process that goes on when all else is over */
bool taking;   /* the mover has an envelope and not yet its content */
#ifdef RESTORE
bool fed;        /* F1 has ended */
#endif
#if REQUEUES > 0
byte requeues = REQUEUES;
#endif
#include "judge.pml"
#include "feeder.pml"
#include "drainer.pml"
#include "mover.pml"
#include "operator.pml"
#include "person.pml"
#include "table.pml"

init {
	atomic {
#ifdef ALONE
		/* Left by an earlier power cut: F2's envelope, whose content is lost. */
		mem[NE] = ENV(2); committed[2] = true;
#endif
#ifdef TABLE
		run table();
#endif
		run reaper();
#if FEEDERS == 1 || FEEDERS == 2
		run careful();
#endif
#if FEEDERS > 1
		run shell();
#endif
#ifdef RESTORE
		run restorer();
#endif
#ifdef PERSON
		run person();
#endif
#ifdef PERMS
		run chmod();
#endif
		survivor = run drainer(D1);
#if DRAINERS > 1
		run drainer(D2);
#endif
#if MOVERS > 0
		run mover();
#endif
#if REQUEUES > 0
		run operator();
#endif
	}
}
