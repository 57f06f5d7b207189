package receiver

import (
	"runtime"
	"sync"
	"testing"
)

// TestTurns: whoever comes when all turns are taken waits, and an end of a turn
// lets one on.
func TestTurns(t *testing.T) {
	f := newStage(t).config.Spool.(feeder)
	for range maxCalls {
		f.take()
	}
	const many = 10
	var made sync.WaitGroup
	drafts := make(chan Draft, many)
	for range many {
		made.Go(func() {
			d, err := f.NewDraft()
			if err != nil {
				t.Error(err)
				return
			}
			drafts <- d
		})
	}
	for range 1000 {
		runtime.Gosched()
	}
	if n := len(drafts); n > 0 {
		t.Errorf("%d drafts without a turn", n)
	}
	f.end()
	made.Wait()
	for range many {
		if err := (<-drafts).Abort(); err != nil {
			t.Error(err)
		}
	}
	if n := len(f.turns); n != maxCalls-1 {
		t.Errorf("%d turns are taken, want %d", n, maxCalls-1)
	}
}
