package courier

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestStopFlushes: what finishes during the grace of a stop is flushed at once, and does
// not wait for the deliveries that hang until its end.
func TestStopFlushes(t *testing.T) {
	l := idleLoop(t)
	synctest.Test(t, func(t *testing.T) {
		l.c.ping, l.inbox = nil, make(chan func(time.Time), 64)
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
	})
}
