package courier

import (
	"context"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"smap/courier/agent"
)

// TestFreeAndBack: a message that every look finds free, and every delivery meets the same trouble with, is looked at
// less and less, and a single run sees that it lasts.
func TestFreeAndBack(t *testing.T) {
	var w waitlist
	now := time.Now()
	it := item{name: "a.envelope", cur: true}
	var waits []time.Duration
	for range 4 {
		wait := w.grow(it.name, time.Second, oddLook)
		w.put(it, wait, now)
		waits = append(waits, wait)
		now = now.Add(wait)
		if _, ok := w.next(now); !ok {
			t.Fatalf("no look after %v", wait)
		}
		w.found(it.name)
		if w.has(it.name) {
			t.Error("what a look found free is still looked at")
		}
		w.hurry(now)
		if _, ok := w.next(now); ok {
			t.Error("a look at what is delivered")
		}
	}
	if waits[0] != time.Second || waits[3] != 8*time.Second {
		t.Errorf("waits %v, want them to double", waits)
	}
	if !w.lasting(onceGrace) {
		t.Error("a single run would wait for ever")
	}
}

// TestClaimedAtTouch: a message that was met locked is taken when its feeder touches the
// envelope, and does not wait for the next look or scan, which are an hour away here.
func TestClaimedAtTouch(t *testing.T) {
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	c, err := New(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := newLoop(c)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- l.run(ctx) }()
	b.stop = func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	if err := c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	inLoop := func(do func(now time.Time)) {
		back := make(chan struct{})
		l.inbox <- func(now time.Time) { do(now); close(back) }
		<-back
	}

	b.put("tmp/m.eml", "x\n")
	content, err := os.Open(b.path("tmp/m.eml"))
	if err != nil {
		t.Fatal(err)
	}
	defer content.Close()
	if err := unix.Flock(int(content.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	b.put("tmp/m.envelope", "Spool-Format: 1\nSender: <a@example.com>\nRecipient: <b@example.org>\nSize: 2\n\n")
	for _, name := range []string{"m.eml", "m.envelope"} {
		if err := os.Rename(b.path("tmp/"+name), b.path("new/"+name)); err != nil {
			t.Fatal(err)
		}
	}
	b.eventually("the message was met locked, and no look will come", func() (far bool) {
		inLoop(func(now time.Time) {
			w := &l.d.looks
			if e := w.state["m.envelope"]; e != nil && !l.d.looking && l.out == 0 && !l.d.intake.wanted() {
				it := e.item
				w.drop(it.name)
				w.trim()
				w.put(it, time.Hour, now)
				l.side.nextScan = now.Add(time.Hour)
				far = true
			}
		})
		return far
	})
	if err := unix.Flock(int(content.Fd()), unix.LOCK_UN); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(b.path("new/m.envelope"), 0o640); err != nil { // the touch
		t.Fatal(err)
	}
	b.eventually("it is delivered", b.empty)
}
