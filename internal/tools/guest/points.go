//go:build linux

package main

import (
	"math/rand/v2"
	"slices"

	"smap/internal/tools/writelog"
)

// A point is a moment of a log at which the power fails.
type point struct {
	at      int   // of the writes before this one the disk had heard
	flushed int   // those before this one it had flushed
	kept    []int // of the others, those that it had done all the same
	between bool  // not right after a flush
}

// choose makes a point of every flush after start, and so many of other moments that there are at least some in all. At
// these, each write since the last flush is on the disk or not, as chance decides; one that is durable by itself is.
//
// With dropped flushes the same is done to the last writes whatever the disk was told: for the check of the checker.
func choose(entries []writelog.Entry, start, least int, seed uint64, dropped bool) []point {
	r := rand.New(rand.NewPCG(seed, 0))
	var all []point
	flushed := make([]int, len(entries)+1) // by moment: the writes before this one are durable
	for i, e := range entries {
		flushed[i+1] = flushed[i]
		if e.Flags&writelog.Flush != 0 {
			flushed[i+1] = i + 1
			if i >= start && !dropped {
				all = append(all, point{at: i + 1, flushed: i + 1})
			}
		}
	}
	for n := len(all); n < least; n++ {
		p := point{at: start + 1 + r.IntN(len(entries)-start), between: true}
		p.flushed = flushed[p.at]
		if dropped {
			const window = 64 // of writes that the disk still has in its own memory
			p.flushed = max(start, p.at-window)
		}
		for i := p.flushed; i < p.at; i++ {
			if durable := entries[i].Flags&writelog.FUA != 0 && !dropped; durable || r.IntN(2) == 0 {
				p.kept = append(p.kept, i)
			}
		}
		all = append(all, p)
	}
	// In the order in which the flushed part grows.
	slices.SortStableFunc(all, func(x, y point) int { return x.flushed - y.flushed })
	return all
}
