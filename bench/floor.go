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
	for _, f := range []struct{ mode, name string }{
		{"pair", "raw: two files, fsync each, two renames, directory fsync"},
		{"group", "group commit: write all, one syncfs, rename all, one directory fsync"},
	} {
		for _, n := range sessions {
			err := b.median("messages/s", fmt.Sprintf("%d", n), f.name, func() (float64, error) {
				dir, err := b.spool("floor", 0)
				if err != nil {
					return 0, err
				}
				out, err := b.output(b.file("commit"), f.mode, dir, fmt.Sprint(n), fmt.Sprint(b.count(n)))
				if err != nil {
					return 0, err
				}
				return strconv.ParseFloat(strings.TrimSpace(out), 64)
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// count is how many messages one measurement at that many sessions takes: a few seconds' worth.
func (b *bench) count(sessions int) int {
	if sessions == 1 {
		return b.messages(800)
	}
	return b.messages(3000)
}

// median measures several times, each after a sync, and adds the middle one as GROUP/NAME.
func (b *bench) median(unit, column, name string, measure func() (float64, error)) error {
	var all []float64
	for range b.runs {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		if _, err := b.output("sync"); err != nil {
			return err
		}
		v, err := measure()
		if err != nil {
			return fmt.Errorf("%s at %s: %w", name, column, err)
		}
		all = append(all, v)
	}
	sorted := slices.Sorted(slices.Values(all))
	b.add(name, column, unit, sorted[len(sorted)/2], all...)
	return nil
}
