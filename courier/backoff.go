package courier

import (
	"hash/fnv"
	"time"
)

// A Schedule says when to try again. Its zero value is the default: from one
// minute doubling to four hours, for five days.
type Schedule struct {
	// Retry are the waits after the first, second, ... attempt; the last one
	// repeats. Empty is the default.
	Retry []time.Duration
	// MaxAge is how long after its arrival a message is still tried; 0 is five
	// days.
	MaxAge time.Duration
}

var defaultRetry = []time.Duration{
	time.Minute, 2 * time.Minute, 4 * time.Minute, 8 * time.Minute, 15 * time.Minute,
	30 * time.Minute, time.Hour, 2 * time.Hour, 4 * time.Hour,
}

const defaultMaxAge = 5 * 24 * time.Hour

func (s Schedule) maxAge() time.Duration {
	if s.MaxAge > 0 {
		return s.MaxAge
	}
	return defaultMaxAge
}

// wait is the schedule's interval after that many attempts, without jitter.
func (s Schedule) wait(attempts int) time.Duration {
	list := s.Retry
	if len(list) == 0 {
		list = defaultRetry
	}
	return list[min(max(attempts, 1), len(list))-1]
}

// Longest is the longest time that Next can put an attempt into the future. A
// message that claims to wait for longer was not scheduled by this, or the
// clock was set back.
func (s Schedule) Longest() time.Duration {
	list := s.Retry
	if len(list) == 0 {
		list = defaultRetry
	}
	var longest time.Duration
	for _, d := range list {
		longest = max(longest, d)
	}
	return longest + longest/4
}

// Next returns when to try again a message that arrived at arrival and has had
// that many attempts, the last one at now, and false when it has been tried for
// long enough. It is a pure function of its arguments. The wait is the list's,
// plus up to a quarter which depends on the message, so that what failed
// together does not come back together; the last attempt is at the maximum age.
func (s Schedule) Next(arrival, now time.Time, attempts int) (time.Time, bool) {
	if arrival.After(now) {
		arrival = now // the clock was set back, or the feeder's is ahead
	}
	end := arrival.Add(s.maxAge())
	old := !now.Before(end)
	if fit := s.fit(); attempts > 2*fit+10 || old && attempts >= min(fit, leastAttempts) {
		return time.Time{}, false
	}
	wait := s.wait(attempts)
	next := now.Add(wait + jitter(arrival, attempts, wait/4))
	if !old && next.After(end) {
		next = end
	}
	return next, true
}

// leastAttempts is how many a message gets however old it looks, if so many fit
// into the maximum age: the clock may have been wrong when it came, or is now.
// Twice as many as fit end a message's life where the clock cannot.
const leastAttempts = 5

// fit is how many attempts fit into the maximum age.
func (s Schedule) fit() int {
	n, age := 0, time.Duration(0)
	for age < s.maxAge() && n < 1_000_000 {
		n++
		age += max(s.wait(n), time.Second)
	}
	return n
}

func jitter(arrival time.Time, attempts int, most time.Duration) time.Duration {
	if most <= 0 {
		return 0
	}
	h := fnv.New64a()
	n := uint64(arrival.UnixNano())
	var b [9]byte
	for i := range 8 {
		b[i] = byte(n >> (8 * i))
	}
	b[8] = byte(attempts)
	h.Write(b[:])
	return time.Duration(h.Sum64() % uint64(most))
}
