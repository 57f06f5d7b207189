// Package envelope reads and writes what is inside the files of a spool:
// envelopes, ids, addresses, and drops. SPOOL-FORMAT.md says what they mean.
//
// The package touches no file and keeps no state. [Parse] and [Envelope.Marshal]
// keep every field in its place, so writing what was read gives the same octets.
// Reading and writing have the same rules: [Parse] accepts whatever [New],
// [Envelope.Set] and [Envelope.SetOutcome] build and Marshal returns.
//
// Everything here is safe to use on hostile input. Time and memory are bounded by
// the size of the input, and that by [MaxSize] and [MaxDropHeader].
//
// Package smap/spoolfmt moves the files.
package envelope
