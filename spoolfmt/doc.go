// Package spoolfmt reads and writes mail spools in the format that
// SPOOL-FORMAT.md describes, version 1.
//
// A spool is a directory with four boxes: tmp, new, cur and bad. A message is
// two files that share an id: a content file (<id>.eml) and an envelope file
// (<id>.envelope). A feeder makes both in tmp and moves them to new, the
// envelope last: that move is the commit. A drainer moves them to cur, which
// is the claim, and from there delivers, defers, finishes or sets aside.
//
// Package smap/spoolfmt/envelope reads and writes what is inside the files. This
// package is the protocol: [Spool.NewDraft], [Spool.Claim] and what they return
// move files, always relative to directory descriptors, never following a link,
// and never replacing a name while they move from one box to another.
//
// A program that only wants each message once calls [Spool.Drain].
//
// Nothing but the kernel decides who owns a message: an flock on its content
// and the move of its envelope. A process may be killed, and a machine may
// lose power, between any two system calls made here; the state that is then
// left is one of those in SPOOL-FORMAT.md's state table, and the next [Spool.Claim]
// or [Sweeper.Sweep] resolves it.
//
// The exported names follow the format's version: within version 1 they stay
// compatible.
package spoolfmt
