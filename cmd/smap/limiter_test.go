package main

import (
	"net/netip"
	"testing"
	"time"
)

func TestNetwork(t *testing.T) {
	for _, c := range []struct {
		a, b string
		same bool
	}{
		{"192.0.2.1", "192.0.2.1", true},
		{"192.0.2.1", "192.0.2.2", false},
		{"2001:db8::1", "2001:db8::ffff:1", true},
		{"2001:db8::1", "2001:db8:0:1::1", false},
		{"fe80::1%eth0", "fe80::2%eth1", true},
		{"192.0.2.1", "::c000:201", false},
	} {
		if got := network(netip.MustParseAddr(c.a)) == network(netip.MustParseAddr(c.b)); got != c.same {
			t.Errorf("%s and %s: the same client is %v", c.a, c.b, got)
		}
	}
}

func TestLimiter(t *testing.T) {
	resting := true
	l := newLimiter(2, 1, func(b bool) { resting = b })
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	if !l.enter(false) || resting || !l.enter(false) || l.enter(false) || l.refused != 1 {
		t.Errorf("all %d, turned away %d", l.all, l.refused)
	}
	done, ok := l.client(a)
	if _, again := l.client(a); !ok || again || l.refused != 2 {
		t.Errorf("each %v, turned away %d", l.each, l.refused)
	}
	if _, ok := l.client(b); !ok {
		t.Error("one client takes another's place")
	}
	done()
	if _, ok := l.client(a); !ok {
		t.Error("a place is not free again")
	}
	now := time.Now()
	for i, c := range []struct {
		after time.Duration
		say   bool
	}{{0, true}, {refusedEvery / 2, false}, {refusedEvery, true}, {refusedEvery + 1, false}} {
		if n, say := l.wasRefused(now.Add(c.after)); n != 2 || say != c.say {
			t.Errorf("%d: turned away %d, to be said: %v", i, n, say)
		}
	}
	l.leave()
	if resting {
		t.Error("rests with a session")
	}
	l.leave()
	if !resting || !l.enter(false) {
		t.Error("does not rest, or has no room again")
	}
}

// TestReserved: strangers cannot keep out hosts that may relay.
func TestReserved(t *testing.T) {
	l := newLimiter(2, 100, func(bool) {})
	for i := range 2 {
		if !l.enter(false) {
			t.Fatalf("no room for session %d", i)
		}
	}
	for i := range reserved {
		if l.enter(false) || !l.enter(true) {
			t.Fatalf("session %d", i)
		}
	}
	if l.enter(true) {
		t.Error("there is no end of room")
	}
}
