// Package guests tests smap on other kernels and machines, in guests under QEMU that are made from Debian's packages and
// our static programs: make guests. Nothing here needs virtualisation by the processor, nor more than one guest at a time.
//
// A guest's first process is internal/tools/guest. Its serial line is its log, which is kept in build/guests.
package guests
