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

// Longest is the longest wait that Next can return. A message whose next attempt is
// further away was not scheduled by this, or the clock was set back.
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

// Next returns when to try a message again that has had some attempts, the last one
// now. It returns false when the message was tried for long enough. The wait is the
// list's, plus up to a quarter that depends on the message: so messages that failed
// together are not retried together. The last attempt is at the maximum age. Next is a
// pure function of its arguments.
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

// leastAttempts is how many attempts a message gets even if it looks too old: the clock
// may have been wrong when it came, or is wrong now. A clock that stands still does
// not keep a message for ever: twice the attempts that fit into the maximum age are
// the end.
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
