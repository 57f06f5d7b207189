package courier

import (
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"smap/courier/agent"
)

// TestStopFlushes: what finishes during the grace of a stop is flushed at once, and does
// not wait for the deliveries that hang until its end.
func TestStopFlushes(t *testing.T) {
	l := idleLoop(t)
	synctest.Test(t, func(t *testing.T) {
		l.c.ping, l.inbox, l.works = nil, make(chan func(time.Time), 64), make(chan func() func(time.Time))
		l.cfg.StopGrace = time.Minute
		l.deliveries["hangs.envelope"] = nil
		l.chores.wantFlush(time.Now())
		go func() {
			time.Sleep(3 * flushAfter)
			l.inbox <- func(time.Time) {
				if !l.chores.nextFlush.IsZero() || l.chores.flushing {
					t.Error("not flushed")
				}
				delete(l.deliveries, "hangs.envelope")
			}
		}()
		if err := l.stop(); err != nil {
			t.Error(err)
		}
		time.Sleep(2 * idleWorker) // its goroutines end
	})
}

// TestStopInterrupts: a stop ends an agent that hangs, and counts no attempt.
func TestStopInterrupts(t *testing.T) {
	mark := filepath.Join(t.TempDir(), "started")
	b := newBench(t, &agent.Exec{Argv: []string{"/bin/sh", "-c", `: >"$0"; exec sleep 3600`, mark}})
	id := b.message("x\n")
	b.run()
	b.eventually("the agent runs", func() bool { _, err := os.Stat(mark); return err == nil })
	begin := time.Now()
	b.halt()
	if d := time.Since(begin); d > 3*time.Second {
		t.Errorf("stop took %v", d)
	}
	if e := b.envelope("cur/" + id + ".envelope"); e.Get("Attempts") != "" {
		t.Error("an attempt was counted")
	}
}
