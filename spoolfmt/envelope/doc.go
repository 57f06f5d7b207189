// Package envelope reads and writes what stands inside the files of a spool:
// envelopes, ids, addresses, and the header of a drop. SPOOL-FORMAT.md says
// what they mean.
//
// It touches no file and keeps no state. [Parse] and [Envelope.Marshal] keep
// every field in its place, so that an envelope that was read is written again
// octet for octet. What one function accepts, all others accept: an envelope
// that [New] and [Envelope.Set] build is one that [Parse] reads.
//
// Package smap/spoolfmt moves the files.
package envelope
