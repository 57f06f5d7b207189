package main

import (
	"net/netip"
	"sync"
	"time"
)

// A limiter counts the sessions of a server: all, and those of each client. An
// IPv6 /64 is one client, since a host that has one address of it has all.
type limiter struct {
	max, maxEach int
	idle         func(bool)

	mu      sync.Mutex
	all     int
	each    map[netip.Prefix]int
	refused int
	logged  time.Time
}

// newLimiter returns a count of at most max sessions, maxEach of them of one
// client. It calls idle with true when the last session has ended, and with false
// when one begins after that.
func newLimiter(max, maxEach int, idle func(bool)) *limiter {
	return &limiter{max: max, maxEach: maxEach, idle: idle, each: make(map[netip.Prefix]int)}
}

// refusedEvery is the least time between two log lines about clients that were
// refused.
const refusedEvery = time.Second

// enter counts a session, unless there are as many as there may be. Those of hosts
// that may relay have some room of their own.
func (l *limiter) enter(relay bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	max := l.max
	if relay {
		max += reserved
	}
	if l.all >= max {
		l.refused++
		return false
	}
	l.all++
	if l.all == 1 {
		l.idle(false)
	}
	return true
}

// leave ends what enter began.
func (l *limiter) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.all == 0 {
		l.idle(true)
	}
}

// client counts a session of one client; done ends it. It is false where that
// client has as many as it may have.
func (l *limiter) client(addr netip.Addr) (done func(), ok bool) {
	who := network(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.each[who] >= l.maxEach {
		l.refused++
		return nil, false
	}
	l.each[who]++
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.each[who]--
		if l.each[who] == 0 {
			delete(l.each, who)
		}
	}, true
}

// wasRefused returns how many clients have been refused, and whether it is time
// to log that.
func (l *limiter) wasRefused(now time.Time) (n int, log bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.logged) < refusedEvery {
		return l.refused, false
	}
	l.logged = now
	return l.refused, true
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
