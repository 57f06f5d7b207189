package courier

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"smap/courier/agent"
)

func testLane(slots int) *lane {
	l := newLane("x")
	l.agent, l.slots, l.batch = all(agent.Result{}), slots, 100
	return l
}

// TestLaneTurns: new and deferred mail start in turn, and deferred mail never gets
// the last slot.
func TestLaneTurns(t *testing.T) {
	l, now := testLane(4), time.Now()
	for i := range 10 {
		l.put(item{at: int64(i), name: fmt.Sprint("n", i)})
		l.put(item{at: int64(i), name: fmt.Sprint("d", i), cur: true})
	}
	fresh := 0
	for range 4 {
		it, ok := l.next(now)
		if !ok {
			t.Fatal("a free slot stays free")
		}
		if !it.cur {
			fresh++
		}
	}
	if _, ok := l.next(now); ok || fresh != 2 {
		t.Errorf("%d of 4 were new, and a fifth started: %v", fresh, ok)
	}
	l, now = testLane(4), time.Now()
	for i := range 10 {
		l.put(item{at: int64(i), name: fmt.Sprint("d", i), cur: true})
	}
	n := 0
	for {
		if _, ok := l.next(now); !ok {
			break
		}
		n++
	}
	if n != 3 {
		t.Errorf("deferred mail has %d of 4 slots", n)
	}
}

// TestKeyTurns: new and deferred mail for one mailbox take turns, too, when there are many
// of both.
// TestLoneMessage: a message that comes alone starts before anybody knows whose it is,
// and counts as anybody's: a mailbox that hangs does not get the last slot by that.
// TestDueLeavesASlot: deferred mail that hangs, and more of it that is due, keeps no new mail
// from the slots that deferred mail may not have.
func TestDueLeavesASlot(t *testing.T) {
	cfg, err := Config{Dir: "/spool", Agent: all(agent.Result{}), MaxChildren: 8, Log: slog.New(slog.DiscardHandler)}.complete()
	if err != nil {
		t.Fatal(err)
	}
	d, now := newDispatcher(), time.Now()
	d.configure(&cfg)
	start := func() (started []string) {
		d.toSort(now) // there is one lane, so nothing has to be routed
		for s, ok := d.next(now); ok; s, ok = d.next(now) {
			started = append(started, s.item.name)
		}
		return started
	}
	for i := range 5000 {
		d.intake.add(item{at: now.UnixNano() - 1, name: fmt.Sprint("due", i), cur: true})
	}
	if n := len(start()) + len(start()); n != 6 {
		t.Fatalf("%d of 8 slots have deferred mail, want 6", n)
	}
	for _, name := range []string{"new1", "new2"} {
		d.offer(item{at: now.UnixNano(), name: name})
		if got := start(); !slices.Equal(got, []string{name}) {
			t.Errorf("started %q, want %s", got, name)
		}
	}
}

// keyed is an agent whose mail for one recipient may hang together.
// TestTwoKeys: no message waits that could start, whichever of two keys it waited for,
// and no key has more than its share.
// A keyWalk starts and ends deliveries of a lane in any order.
// start starts what can start, and checks that nothing else could, and that nothing had
// to wait.
// TestMetAgain: a message that is made due while its attempt ends is tried again at
// once: the scan that finds it due comes while it is worked on.
func TestMetAgain(t *testing.T) {
	cfg, err := Config{Dir: "/spool", Agent: all(agent.Result{}), Log: slog.New(slog.DiscardHandler)}.complete()
	if err != nil {
		t.Fatal(err)
	}
	d, now := newDispatcher(), time.Now()
	d.configure(&cfg)
	it := item{at: now.UnixNano(), name: "m.envelope", cur: true}
	d.intake.add(it)
	d.toSort(now)
	running, ok := d.next(now)
	if !ok {
		t.Fatal("does not start")
	}
	d.intake.add(it)
	d.toSort(now)
	if !d.ended(running) {
		t.Error("it waits for its time")
	}
}

// TestLaneFull: a lane turns messages away, and its memory is bounded.
func TestLaneFull(t *testing.T) {
	l := testLane(1)
	for i := range laneLimit + 10 {
		if ok := l.put(item{at: int64(i), name: fmt.Sprint(i)}); ok != (i < laneLimit) {
			t.Fatalf("%d: %v", i, ok)
		}
	}
	if !l.more || l.size != laneLimit {
		t.Errorf("more %v, size %d", l.more, l.size)
	}
}

// TestLaneRefill: a key that turned messages away asks for a scan when a good part of them
// have started, and a full lane when only blocked ones are left; neither asks before.
func TestLaneRefill(t *testing.T) {
	l, now := testLane(4), time.Now()
	n := 0
	fill := func(keys agent.Keys) []item { // returns what starts
		var began []item
		for n++; l.put(item{at: int64(n), name: fmt.Sprint(n), keys: &keys}); n++ {
			for it, ok := l.next(now); ok; it, ok = l.next(now) {
				began = append(began, it)
			}
		}
		return began
	}
	running := fill(agent.Keys{Client: "a", To: "d"})
	fill(agent.Keys{Client: "b", To: "d"})
	if len(running) != 3 || l.size != 2*keyLimit || l.refill() {
		t.Fatalf("%d run, %d wait for two keys", len(running), l.size)
	}
	for n++; l.put(item{at: int64(n), name: fmt.Sprint(n), keys: &agent.Keys{To: fmt.Sprint(n)}}); n++ {
		// the rest of the lane
	}
	others := 0
	for !l.refill() {
		it, ok := l.next(now)
		if !ok {
			t.Fatal("a full lane of blocked messages asks for none")
		}
		l.end(it)
		others++
	}
	if others < keyLimit/4 {
		t.Errorf("a scan for %d messages", others)
	}
	for it, ok := l.next(now); ok; it, ok = l.next(now) { // no others are left
		l.end(it)
	}
	began := 0
	for ; !l.refill(); began++ {
		if len(running) == 0 {
			t.Fatal("a key that has room asks for none")
		}
		l.end(running[0])
		running = running[1:]
		for it, ok := l.next(now); ok; it, ok = l.next(now) {
			running = append(running, it)
		}
	}
	if began < keyLimit/2 || l.refill() {
		t.Errorf("a scan after %d messages, and another one", began)
	}
}

// TestLaneWaits: a message whose agent was not reached starts again after a wait that
// grows.
func TestLaneWaits(t *testing.T) {
	l, now := testLane(1), time.Now()
	l.put(item{name: "m"})
	for _, want := range []time.Duration{firstProbe, 2 * firstProbe, 4 * firstProbe} {
		it, ok := l.next(now)
		if !ok {
			t.Fatal("does not start")
		}
		l.gate.trouble(it.name, errors.New("down"), now)
		l.end(it)
		l.unreached(it, now)
		if _, ok := l.next(now.Add(want - time.Millisecond)); ok {
			t.Fatalf("starts before %v", want)
		}
		if wake := l.wake(now); wake.Sub(now) != want {
			t.Errorf("wakes after %v, want %v", wake.Sub(now), want)
		}
		now = now.Add(want)
	}
}

// TestGate: one message's trouble shuts nothing. Another message's does; then one
// message at a time is a probe, and another one each time.
func TestGate(t *testing.T) {
	g, now := gate{what: "agent"}, time.Now()
	bad := errors.New("down")
	for range 5 {
		if g.trouble("poison", bad, now) || !g.lets(now) {
			t.Fatal("one message shuts the gate")
		}
	}
	g.reached()
	if g.trouble("a", bad, now) || !g.trouble("b", bad, now) || g.lets(now) {
		t.Fatal("two messages do not shut the gate")
	}
	g.trouble("c", bad, now) // had started before: not a probe
	now = g.until
	if !g.lets(now) {
		t.Fatal("no probe")
	}
	g.start("c")
	if g.lets(now) {
		t.Error("two probes at a time")
	}
	g.trouble("c", bad, now)
	g.end("c")
	if g.lets(now) || g.until.Sub(now) != 2*firstProbe {
		t.Errorf("the next probe after %v", g.until.Sub(now))
	}
	now = g.until
	g.start("d")
	g.end("d") // it was locked: the place is free
	if !g.lets(now) {
		t.Error("a probe that met nothing keeps the others out")
	}
	g.start("e")
	g.passed(now) // delivered without room: the next one need not wait
	g.end("e")
	if !g.shut || !g.lets(now) {
		t.Error("a message that needs less than others keeps the next probe waiting, or opens the gate")
	}
	g.logged = true
	if !g.reached() || !g.lets(now) {
		t.Error("does not open")
	}
}

// TestProbeBesideSlow: a delivery that started before the gate was shut, and takes long,
// stops no probe.
func TestProbeBesideSlow(t *testing.T) {
	l, now := testLane(3), time.Now()
	for i := range 4 {
		l.put(item{at: now.UnixNano() + int64(i), name: fmt.Sprint("m", i)})
	}
	var met []item
	for range 3 {
		it, ok := l.next(now)
		if !ok {
			t.Fatal("does not start")
		}
		met = append(met, it)
	}
	for _, it := range met[1:] { // the first one is slow
		l.gate.trouble(it.name, errors.New("down"), now)
		l.end(it)
		l.unreached(it, now)
	}
	if _, ok := l.next(now); ok || !l.gate.shut {
		t.Fatal("the gate is open")
	}
	if it, ok := l.next(l.wake(now)); !ok || it.name != "m3" {
		t.Errorf("the probe is %v %v", it, ok)
	}
}

// TestProbesTakeTurns: while a gate is shut, each probe is another message: one that
// will never get through does not keep the others from trying.
func TestProbesTakeTurns(t *testing.T) {
	l, now := testLane(1), time.Now()
	for i := range 4 {
		l.put(item{at: now.UnixNano() + int64(i), name: fmt.Sprint("m", i)})
	}
	seen := map[string]int{}
	for range 8 {
		it, ok := l.next(now)
		for !ok {
			now = l.wake(now)
			it, ok = l.next(now)
		}
		seen[it.name]++
		l.gate.trouble(it.name, errors.New("down"), now)
		l.end(it)
		l.unreached(it, now)
		now = now.Add(time.Minute)
	}
	for i := range 4 {
		if n := seen[fmt.Sprint("m", i)]; n != 2 {
			t.Errorf("m%d was tried %d times of 8: %v", i, n, seen)
		}
	}
}
