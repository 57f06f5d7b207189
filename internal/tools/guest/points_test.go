//go:build linux

package main

import (
	"slices"
	"testing"

	"smap/internal/tools/writelog"
)

// TestChoose: every flush is a point with all before it; elsewhere nothing flushed is missing, and FUA never is.
func TestChoose(t *testing.T) {
	var entries []writelog.Entry
	for i := range 200 {
		e := writelog.Entry{Size: 512}
		switch i % 10 {
		case 7:
			e.Flags = writelog.FUA
		case 9:
			e = writelog.Entry{Flags: writelog.Flush}
		}
		entries = append(entries, e)
	}
	all := choose(entries, 20, 500, 1, false)
	flushes, lost := 0, 0
	for _, p := range all {
		if !p.between {
			flushes++
			if p.flushed != p.at || len(p.kept) > 0 || p.at%10 != 0 {
				t.Errorf("a flush is %+v", p)
			}
			continue
		}
		if p.flushed != p.at/10*10 {
			t.Errorf("%d writes are flushed at %d", p.flushed, p.at)
		}
		lost += p.at - p.flushed - len(p.kept)
		if fua := p.flushed + 7; fua < p.at && !slices.Contains(p.kept, fua) {
			t.Errorf("at %d the durable write %d is lost", p.at, fua)
		}
	}
	if flushes != 18 || len(all) != 500 || lost == 0 {
		t.Errorf("%d flushes, %d points, %d writes lost", flushes, len(all), lost)
	}
	for _, p := range choose(entries, 20, 50, 1, true) {
		if p.flushed > p.at-64 && p.flushed != 20 {
			t.Errorf("dropped flushes: %+v", p)
		}
	}
}
