// Package tally counts the sessions of a server, and says when there are too
// many: in all, or of one client.
package tally

import (
	"net/netip"
	"sync"
	"time"
)

// A Tally counts sessions: all, and those of each client. An IPv6 /64 is one
// client, since whoever has one address of it has all. Several goroutines may
// use it.
type Tally struct {
	max, maxEach int
	rest         func(bool)

	mu     sync.Mutex
	all    int
	each   map[netip.Prefix]int
	turned int
	said   time.Time
}

// New returns a count of at most max sessions, maxEach of them of one client. It
// calls rest with true when the last session has ended, and with false when one
// begins after that.
func New(max, maxEach int, rest func(bool)) *Tally {
	return &Tally{max: max, maxEach: maxEach, rest: rest, each: make(map[netip.Prefix]int)}
}

// quiet is the least time between two lines about clients that found no room.
const quiet = time.Second

// Enter counts a session, unless there are as many as there may be.
func (t *Tally) Enter() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all >= t.max {
		t.turned++
		return false
	}
	if t.all++; t.all == 1 {
		t.rest(false)
	}
	return true
}

// Leave ends what Enter began.
func (t *Tally) Leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all--; t.all == 0 {
		t.rest(true)
	}
}

// Client counts a session of one client; done ends it. It is false where that
// client has as many as it may have.
func (t *Tally) Client(addr netip.Addr) (done func(), ok bool) {
	who := network(addr)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.each[who] >= t.maxEach {
		t.turned++
		return nil, false
	}
	t.each[who]++
	return func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		if t.each[who]--; t.each[who] == 0 {
			delete(t.each, who)
		}
	}, true
}

// TurnedAway is how many clients found no room so far, and whether it is time to
// say so again.
func (t *Tally) TurnedAway(now time.Time) (int, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.said) < quiet {
		return t.turned, false
	}
	t.said = now
	return t.turned, true
}

// network is what counts as one client.
func network(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits) // these lengths always fit
	return p
}
