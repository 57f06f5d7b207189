package courier

import (
	"testing"
	"time"
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
