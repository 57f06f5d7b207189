package main

import (
	"net/netip"
	"sync"
	"time"
)

// A limiter counts the sessions of a server: all, and those of each client. An
// IPv6 /64 is one client, since one host usually has all addresses of it.
type limiter struct {
	max, maxEach int
	idle         func(bool)

	mu      sync.Mutex
	all     int
	each    map[netip.Prefix]int
	refused int
	logged  time.Time
}

// newLimiter returns a limiter for at most max sessions, and at most maxEach of
// one client. The limiter calls idle(false) when the first session begins, and
// idle(true) when the last one has ended.
func newLimiter(max, maxEach int, idle func(bool)) *limiter {
	return &limiter{max: max, maxEach: maxEach, idle: idle, each: make(map[netip.Prefix]int)}
}

// refusedEvery is the least time between two log lines about refused clients.
const refusedEvery = time.Second

// enter counts a session, or returns false if the limit is reached. The limit is
// higher for hosts that may relay; see reserved.
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

// leave ends the session that enter counted.
func (l *limiter) leave() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.all == 0 {
		l.idle(true)
	}
}

// client counts a session of one client; done ends that session. ok is false if
// the client has maxEach sessions already.
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

// wasRefused returns how many clients were refused since the start, and whether
// it is time to log that.
func (l *limiter) wasRefused(now time.Time) (n int, log bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now.Sub(l.logged) < refusedEvery {
		return l.refused, false
	}
	l.logged = now
	return l.refused, true
}

// network returns the addresses that count as one client: the /64 of an IPv6
// address, or one IPv4 address.
func network(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits) // these lengths always fit
	return p
}
