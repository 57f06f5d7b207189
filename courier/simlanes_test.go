package courier

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"
)

// TestNothingHoldsUpTheGoodLane: the mail of a good lane does not notice four lanes
// that are dead, hanging, slow and refusing, nor ten hostile feeders: 100,000 messages,
// half of them in one burst, 10,000 of them locked for ever and in the good lane's way.
func TestNothingHoldsUpTheGoodLane(t *testing.T) {
	const seconds, perSecond = 2000, 10
	p99 := func(hostile bool) time.Duration {
		s := newSimulation(t, "dead", "hanging", "slow", "refusing", "good")
		rng := rand.New(rand.NewPCG(1, 2))
		s.behave["good"] = func(*simMessage) (time.Duration, *part, verdict) {
			return time.Duration(10+rng.IntN(20)) * time.Millisecond, &part{tried: true}, verdictFinished
		}
		s.behave["dead"] = func(*simMessage) (time.Duration, *part, verdict) {
			return 30 * time.Second, &part{err: errors.New("i/o timeout")}, verdictWaits
		}
		s.behave["hanging"] = func(*simMessage) (time.Duration, *part, verdict) {
			return 10 * time.Minute, &part{tried: true}, verdictDeferred
		}
		s.behave["slow"] = good(5 * time.Second)
		s.behave["refusing"] = good(50 * time.Millisecond)
		for i := range seconds * perSecond {
			s.after(time.Duration(i)*time.Second/perSecond, func() {
				s.feed(&simMessage{name: fmt.Sprintf("good%06d.envelope", i), lane: "good", key: "k"})
			})
		}
		if hostile {
			lanes := []string{"dead", "hanging", "slow", "refusing"}
			for i := range 80_000 {
				m := &simMessage{name: fmt.Sprintf("h%06d.envelope", i), lane: lanes[i%4], key: fmt.Sprint(i % 10)}
				if i%8 == 0 {
					m.lane, m.locked = "good", true
				}
				at := 5 * time.Second
				if i%2 == 0 {
					at = time.Duration(i) * seconds * time.Second / 80_000
				}
				s.after(at, func() { s.feed(m) })
			}
		}
		s.run(seconds * time.Second)
		waits := s.waits["good"]
		if len(waits) < seconds*perSecond-10 {
			t.Fatalf("hostile %v: %d of %d good messages were delivered", hostile, len(waits), seconds*perSecond)
		}
		t.Logf("hostile %v: %d starts; good lane p50 %v, p99 %v, max %v; refusing %d, slow %d delivered", hostile, s.starts,
			percentile(waits, 50), percentile(waits, 99), percentile(waits, 100), len(s.waits["refusing"]), len(s.waits["slow"]))
		return percentile(waits, 99)
	}
	alone, among := p99(false), p99(true)
	if among > alone*3/2 {
		t.Errorf("p99 of the good lane is %v, alone %v", among, alone)
	}
}

// TestDueAmongNew: a deferred message starts within a few starts after it is due,
// however much new mail waits, and new mail within a few however much deferred mail.
func TestDueAmongNew(t *testing.T) {
	for _, cur := range []bool{true, false} {
		s := newSimulation(t)
		s.behave[""] = good(time.Second)
		for i := range 5000 {
			s.disk[fmt.Sprintf("m%05d.envelope", i)] = &simMessage{name: fmt.Sprintf("m%05d.envelope", i), cur: !cur, arrived: s.now, due: s.now}
		}
		s.run(10 * time.Second)
		one := &simMessage{name: "one.envelope", cur: cur, due: s.now, arrived: s.now}
		s.disk[one.name] = one
		s.l.d.intake.add(item{at: s.now.UnixNano(), name: one.name, cur: cur})
		before := s.starts
		for s.disk[one.name] != nil {
			s.run(time.Second)
			if s.starts-before > 200 {
				t.Fatalf("cur %v: not started within %d starts", cur, s.starts-before)
			}
		}
		t.Logf("cur %v: done within %d starts", cur, s.starts-before)
	}
}

// TestKeyLeavesASlot: mail for one mailbox that hangs does not take a lane's last
// slots, whatever waits for it.
func TestKeyLeavesASlot(t *testing.T) {
	s := newSimulation(t, "box")
	s.behave["box"] = func(m *simMessage) (time.Duration, *part, verdict) {
		if m.key == "hangs@x.test" {
			return 10 * time.Minute, &part{tried: true}, verdictDeferred
		}
		return 10 * time.Millisecond, &part{tried: true}, verdictFinished
	}
	for i := range 1000 {
		s.feed(&simMessage{name: fmt.Sprintf("h%04d.envelope", i), lane: "box", key: "hangs@x.test"})
	}
	s.run(time.Second)
	for i := range 100 {
		s.feed(&simMessage{name: fmt.Sprintf("g%04d.envelope", i), lane: "box", key: "good@x.test"})
	}
	s.run(2 * time.Second)
	if n := len(s.waits["box"]); n != 100 {
		t.Errorf("%d of 100 were delivered beside a mailbox that hangs", n)
	}
	if l := s.l.d.lanes[1]; l.running > l.share() {
		t.Errorf("%d of %d slots are taken", l.running, l.slots)
	}
}

// TestClientLeavesASlot: a client that the server behind never greets does not take a
// lane's last slots, although each of its messages is for another domain.
func TestClientLeavesASlot(t *testing.T) {
	s := newSimulation(t, "proxy")
	silent := 0
	s.behave["proxy"] = func(m *simMessage) (time.Duration, *part, verdict) {
		if m.client == "192.0.2.66" {
			silent++
			return 5 * time.Minute, &part{tried: true}, verdictDeferred
		}
		return 10 * time.Millisecond, &part{tried: true}, verdictFinished
	}
	for i := range 100 {
		s.feed(&simMessage{name: fmt.Sprintf("h%03d.envelope", i), lane: "proxy", key: fmt.Sprintf("d%d.test", i), client: "192.0.2.66"})
	}
	s.run(time.Second)
	l := s.l.d.lanes[1]
	if silent != l.share() || l.running != silent {
		t.Errorf("%d of 100 messages of one client started, %d run in %d slots", silent, l.running, l.slots)
	}
	const others = 50
	before := s.starts
	for i := range others {
		s.feed(&simMessage{name: fmt.Sprintf("g%03d.envelope", i), lane: "proxy", key: fmt.Sprintf("d%d.test", i), client: fmt.Sprintf("192.0.2.%d", i)})
	}
	s.run(time.Second)
	if n := len(s.waits["proxy"]); n != others {
		t.Errorf("%d of %d messages of other clients were delivered within a second", n, others)
	}
	if n := s.starts - before; n > others {
		t.Errorf("%d starts for %d messages", n, others)
	}
	s.run(3 * time.Hour)
	if silent < 100 {
		t.Errorf("%d of 100 messages of the client were tried", silent)
	}
}

// TestKeyLeavesRoom: a backlog of a client that hangs, larger than a lane keeps in memory,
// leaves room for the mail of others: what an event tells of, and what a scan finds behind
// it. The backlog itself goes on.
func TestKeyLeavesRoom(t *testing.T) {
	for _, c := range []struct {
		name    string
		keys    func(*simMessage, string)
		backlog int
		event   bool
	}{
		{"client, event", func(m *simMessage, k string) { m.client = k }, 9000, true},
		{"client, scan", func(m *simMessage, k string) { m.client = k }, 9000, false},
		{"recipient, event", func(m *simMessage, k string) { m.key = k }, 9000, true},
		{"client, behind two scans", func(m *simMessage, k string) { m.client = k }, 2*queueLimit + 9000, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newSimulation(t, "proxy")
			hangs := true
			s.behave["proxy"] = func(m *simMessage) (time.Duration, *part, verdict) {
				if hangs && (m.client == "a" || m.key == "a") {
					return time.Hour, &part{tried: true}, verdictDeferred
				}
				return 10 * time.Millisecond, &part{tried: true}, verdictFinished
			}
			message := func(name, key string) *simMessage {
				m := &simMessage{name: name + ".envelope", lane: "proxy", key: name, arrived: s.now.Add(time.Duration(len(s.disk)))}
				c.keys(m, key)
				return m
			}
			for i := range c.backlog {
				m := message(fmt.Sprintf("a%06d", i), "a")
				s.disk[m.name] = m
			}
			s.run(time.Minute)
			l := s.l.d.lanes[1]
			if l.running != l.share() || l.size > laneLimit/2 {
				t.Fatalf("%d run in %d slots, %d wait", l.running, l.slots, l.size)
			}
			for i := range 3 {
				if m := message(fmt.Sprintf("b%d", i), "b"); c.event {
					s.feed(m)
				} else {
					s.disk[m.name] = m
				}
			}
			before := s.scans
			s.run(8 * time.Minute)
			if n := len(s.waits["proxy"]); n != 3 {
				t.Errorf("%d of 3 messages of another client were delivered", n)
			}
			if n := s.scans - before; n > 20 {
				t.Errorf("%d scans in 8 minutes", n)
			}
			if c.backlog > queueLimit {
				return // the rest is the same, and takes long
			}
			hangs = false
			before = s.scans
			s.run(3 * time.Hour)
			if len(s.disk) > 0 {
				t.Errorf("%d messages are left", len(s.disk))
			}
			t.Logf("%d scans for a backlog of %d", s.scans-before, c.backlog)
		})
	}
}

// TestWorkIsBounded: an event costs the same with ten messages in memory and with
// ten thousand.
func TestWorkIsBounded(t *testing.T) {
	perMessage := func(n int) float64 {
		s := newSimulation(t, "dead")
		s.behave["dead"] = func(*simMessage) (time.Duration, *part, verdict) {
			return time.Second, &part{err: errors.New("no route to host")}, verdictWaits
		}
		for i := range n {
			s.feed(&simMessage{name: fmt.Sprintf("m%06d.envelope", i), lane: "dead", key: fmt.Sprint(i % 7)})
		}
		s.run(10 * time.Minute)
		return float64(s.starts)
	}
	few, many := perMessage(100), perMessage(10_000)
	t.Logf("starts in ten minutes with a dead agent: %v for 100 messages, %v for 10,000", few, many)
	if many > 2*few+100 {
		t.Errorf("a dead agent is tried %v times for 10,000 messages, and %v for 100", many, few)
	}
}

// TestBacklogOfADeadLane: a backlog that a dead lane cannot take, larger than what is
// kept in memory, costs few scans, and does not hide the mail of another lane behind
// it for ever.
func TestBacklogOfADeadLane(t *testing.T) {
	s := newSimulation(t, "dead", "good")
	s.behave["dead"] = func(*simMessage) (time.Duration, *part, verdict) {
		return time.Second, &part{err: errors.New("no route to host")}, verdictWaits
	}
	s.behave["good"] = good(10 * time.Millisecond)
	const backlog = 3 * queueLimit
	for i := range backlog + 10 {
		m := &simMessage{name: fmt.Sprintf("m%06d.envelope", i), lane: "dead", arrived: s.now.Add(time.Duration(i))}
		if i >= backlog {
			m.lane = "good"
		}
		s.disk[m.name] = m
	}
	s.run(20 * time.Minute)
	t.Logf("%d scans in 20 minutes", s.scans)
	if n := len(s.waits["good"]); n != 10 {
		t.Errorf("%d of 10 messages behind the backlog were delivered", n)
	}
	if s.scans > 60 {
		t.Errorf("%d scans in 20 minutes", s.scans)
	}
}
