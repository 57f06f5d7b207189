package courier

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

// TestKeepSleeps: outcomes that cannot be written are tried again after waits that
// grow, each on its own, and the courier's end ends that.
func TestKeepSleeps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		ctx, cancel := context.WithCancel(t.Context())
		var writes [2][]time.Duration
		for i := range writes {
			d := &delivery{held: func(error) {}, replaced: func() bool { return false }}
			go d.keep(ctx, func() result {
				if ctx.Err() != nil {
					return result{verdict: verdictFinished}
				}
				writes[i] = append(writes[i], time.Since(began))
				if i == 1 && len(writes[i]) == 3 {
					return result{verdict: verdictFinished}
				}
				return result{verdict: verdictLost, err: errors.New("no space left on device")}
			})
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(writes[0]) != 6 || len(writes[1]) != 3 { // at 0, 1, 3, 7, 15, 31 seconds
			t.Errorf("written at %v and %v", writes[0], writes[1])
		}
		cancel()
		synctest.Wait()
	})
}

// TestHeldOnlyIfSeen: on a full disk, a message whose outcome cannot be written is held if
// somebody got it, else it is given back.
func TestHeldOnlyIfSeen(t *testing.T) {
	for _, c := range []struct {
		to   string
		err  error
		want verdict
	}{
		{"bad@x.test", syscall.ENOSPC, verdictSpool},
		{"good@x.test", syscall.ENOSPC, verdictLost},
		{"bad@x.test", syscall.EIO, verdictLost},
	} {
		b, a := newReporter(t)
		d := b.attempted(b.send("x\n", "a@example.com", "wait@x.test", c.to), a)
		if r := d.unwritten(c.err); r.verdict != c.want {
			t.Errorf("%+v: verdict %d", c, r.verdict)
		}
	}
}

// TestNextAttemptUnwritten: where the time of the next attempt cannot be written, memory has
// it: the agent is not called at the pace of looks.
func TestNextAttemptUnwritten(t *testing.T) {
	for to, all := range map[string][]error{"wait@x.test": {syscall.ENOSPC, syscall.EIO}, "bad@x.test": {syscall.ENOSPC}} {
		for _, why := range all {
			b, a := newReporter(t)
			d := b.attempted(b.send("x\n", "a@example.com", to), a)
			now := time.Now()
			r := d.unwritten(why)
			r.start = d.start
			disp := newDispatcher()
			disp.place(&r, now)
			disp.looks.hurry(now)
			if _, ok := disp.looks.next(now.Add(59 * time.Second)); ok {
				t.Errorf("%s, %v: tried again within a minute", to, why)
			}
			if _, ok := disp.looks.next(now.Add(90 * time.Second)); !ok {
				t.Errorf("%s, %v: not tried again", to, why)
			}
			if !disp.looks.lasting(onceGrace) {
				t.Errorf("%s, %v: a single run would wait for the next attempt", to, why)
			}
		}
	}
}
