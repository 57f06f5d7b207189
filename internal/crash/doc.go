// Package crash makes the states that a power cut could leave of a spool, out
// of a record of what programs did to it, in the manner of ALICE (Pillai et
// al., OSDI 2014).
//
// The record is strace's. The file system of the model is weak: a name that
// was made, moved or removed is durable once its directory was synced, and
// until then it is there or is not, each for itself and in any order; octets
// that were not synced are missing, all or from some point on, or others are in
// their place. It keeps the two
// promises that SPOOL-FORMAT.md 2.4 takes for granted: a file that had a
// durable name and was moved has the old name, the new one or both; and to sync
// a directory makes durable where files went that were moved out of it.
//
// Left out: reordered writes within a file, wrong sizes with right octets, modes, times, and a file system that lies
// about a sync. Times of files in a state are those of its making.
package crash
