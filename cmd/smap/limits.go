package main

import (
	"net/netip"
	"sync"
	"time"
)

// A tally counts sessions: all, and those of each client. An IPv6 /64 is one
// client, since whoever has one address of it has all.
type tally struct {
	max, maxEach int
	rest         func(bool) // called when the last session ends, and when one begins

	mu     sync.Mutex
	all    int
	each   map[netip.Prefix]int
	turned int
	said   time.Time
}

// quiet is the least time between two lines about clients that found no room.
const quiet = time.Second

// enter counts a session, unless there are as many as there may be.
func (t *tally) enter() bool {
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

// leave ends what enter began.
func (t *tally) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all--; t.all == 0 {
		t.rest(true)
	}
}

// client counts a session of one client; done ends it.
func (t *tally) client(addr netip.Addr) (done func(), ok bool) {
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

// turnedAway is how many clients found no room so far, and whether it is time to
// say so again.
func (t *tally) turnedAway(now time.Time) (int, bool) {
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
