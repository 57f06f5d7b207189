//go:build linux

package main

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// sessions are the numbers of sessions, or of threads, that throughput is measured at.
var sessions = []int{1, 16, 64}

// floors measures what the disk itself can do.
func (b *bench) floors() error {
	for _, n := range sessions {
		if err := b.turns("messages/s", b.commitFloor(n)); err != nil {
			return err
		}
	}
	return nil
}

// commitFloor writes messages in so many threads, without anybody who sends them.
func (b *bench) commitFloor(threads int) trial {
	return trial{pairFloor, fmt.Sprint(threads), func() (float64, error) {
		dir, err := b.spool("floor", 0)
		if err != nil {
			return 0, err
		}
		out, err := b.output(b.file("commit"), "pair", dir, fmt.Sprint(threads), fmt.Sprint(b.count(threads)))
		if err != nil {
			return 0, err
		}
		return strconv.ParseFloat(strings.TrimSpace(out), 64)
	}}
}

// count is how many messages one measurement at that many sessions takes: a few seconds' worth.
func (b *bench) count(sessions int) int {
	if sessions == 1 {
		return b.messages(800)
	}
	return b.messages(3000)
}

// A trial is one thing to measure, and its place in the table.
type trial struct {
	name, column string
	measure      func() (float64, error)
}

// turns measures several things in turn, each several times and after a sync, and adds the middle one of each: what changes on
// the machine meanwhile changes for all that are compared.
func (b *bench) turns(unit string, trials ...trial) error {
	all := make([][]float64, len(trials))
	for range b.runs {
		for i, t := range trials {
			if err := b.ctx.Err(); err != nil {
				return err
			}
			if _, err := b.output("sync"); err != nil {
				return err
			}
			v, err := t.measure()
			if err != nil {
				return fmt.Errorf("%s at %s: %w", t.name, t.column, err)
			}
			all[i] = append(all[i], v)
		}
	}
	for i, t := range trials {
		sorted := slices.Sorted(slices.Values(all[i]))
		b.add(t.name, t.column, unit, sorted[len(sorted)/2], all[i]...)
	}
	return nil
}
