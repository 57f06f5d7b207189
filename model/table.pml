/*
 * The state table of SPOOL-FORMAT.md, section 7: with -DTABLE, every state that comes about must be one of its rows. For one
 * feeder, and moves that are one step: in a move by link and unlink a file has two names for a moment, and a power cut
 * can leave the rest of its rows.
 */
#ifdef TABLE
#define HAS(s) (mem[s] != 0)
#define HAS_BC (mem[BC] || mem[BC + 1] || mem[BC + 2])
#define HAS_BE (mem[BE] || mem[BE + 1] || mem[BE + 2])
#define ROW(nc, ne, cc, ce, cd, bc, be) \
	(HAS(NC) == nc && HAS(NE) == ne && HAS(CC) == cc && HAS(CE) == ce && HAS(CD) == cd && HAS_BC == bc && HAS_BE == be)

#define NONE    ROW(0, 0, 0, 0, 0, 0, 0)   /* and DRAFT: files in tmp alone */
#define HALF    ROW(1, 0, 0, 0, 0, 0, 0)
#define READY   ROW(1, 1, 0, 0, 0, 0, 0)
#define TAKING  ROW(1, 0, 0, 1, 0, 0, 0)
#define OWNED   ROW(0, 0, 1, 1, 0, 0, 0)
#define DONE    ROW(0, 0, 1, 0, 1, 0, 0)
#define ENDED   ROW(0, 0, 0, 0, 1, 0, 0)
#define LEAVING ROW(0, 0, 1, 1, 0, 1, 0)
#ifndef NO_LEFT
#define LEFT    (ROW(0, 0, 1, 1, 0, 1, 1) || ROW(0, 0, 1, 0, 0, 1, 1))
#else
#define LEFT    false
#endif
#define ASIDE   (ROW(0, 0, 0, 0, 0, 1, 1) || ROW(0, 0, 0, 0, 0, 1, 0) || ROW(0, 0, 0, 0, 0, 0, 1))
#if REQUEUES > 0
#define SENDING ROW(1, 0, 0, 0, 0, 0, 1)
#else
#define SENDING false
#endif
#ifdef RESTORE
#define LOST    ROW(0, 0, 1, 0, 0, 0, 0)   /* or on its way */
#else
#define LOST    false
#endif
#define ALONE_  (ROW(0, 1, 0, 0, 0, 0, 0) || ROW(0, 0, 0, 1, 0, 0, 0))

#define IN_TABLE (NONE || HALF || READY || TAKING || OWNED || DONE || ENDED || LEAVING || LEFT || ASIDE || SENDING || LOST || ALONE_)

proctype table()
{
	!IN_TABLE -> assert(false)
}
#endif
