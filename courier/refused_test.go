package courier

import (
	"testing"
	"time"

	"smap/courier/agent"
)

// TestRefusedPartIsOwed: recipients that are due do not wait for their message's next attempt, because the delivery that
// runs for another lane could not take them.
func TestRefusedPartIsOwed(t *testing.T) {
	now := time.Now()
	ok := all(agent.Result{Outcome: agent.Delivered})
	cfg := Config{Agent: ok, Lanes: []Lane{{Name: "other", Agent: ok, MaxChildren: 1}}, MaxChildren: 1}
	d := newDispatcher()
	d.configure(&cfg)
	it := item{name: "a.envelope", cur: true}
	for _, l := range d.lanes {
		d.put(l, it, agent.Keys{})
		d.owe(l, it.name, true)
	}
	first, ok1 := d.next(now)
	second, ok2 := d.next(now)
	if !ok1 || !ok2 || first.join || !second.join || !second.owed {
		t.Fatalf("%+v\n%+v", first, second)
	}
	second.lane.end(second.item)
	d.refused(second, now)
	if s, ok := d.next(now); ok {
		t.Fatalf("%+v started while the delivery runs that refused it", s)
	}
	first.lane.end(first.item)
	if d.ended(first) {
		t.Error("offered again, without its mark")
	}
	if s, ok := d.next(now); !ok || s.lane != second.lane || s.join || !s.owed {
		t.Errorf("%+v %v, want the second lane's part, owed", s, ok)
	}
}
