package receiver

import "time"

// maxContentTimeouts bounds the wait for one message's content: it is this many
// timeouts, four hours by default.
const maxContentTimeouts = 48

// firstCredit is what a client may be behind the minimum rate where no timeout
// is set.
const firstCredit = 30 * time.Second

// A pace measures how fast a client sends a message. Only the time that we wait
// for the client counts, and not the time that our disk takes.
//
// A wait uses up credit, and octets earn it at the minimum rate. Credit never
// exceeds the window, so that octets of an hour ago do not pay for a pause now.
type pace struct {
	rate   int64         // octets per second; 0 is no limit
	window time.Duration // the most that credit can be
	credit time.Duration
	left   time.Duration // of the bound on the whole message; negative at its end
	bound  bool
}

// newPace returns the pace of a message that begins now. A client may pause for
// the timeout at any time.
func newPace(rate int64, timeout time.Duration) *pace {
	p := &pace{rate: rate, window: timeout, left: maxContentTimeouts * timeout, bound: timeout > 0}
	if timeout == 0 {
		p.window = firstCredit
	}
	p.credit = p.window
	return p
}

// waited counts a wait and the octets that ended it.
func (p *pace) waited(d time.Duration, octets int) {
	p.left -= d
	if p.rate > 0 {
		p.credit = min(p.window, p.credit-d+time.Duration(octets)*time.Second/time.Duration(p.rate))
	}
}

// patience is how long the next wait may last; ok is false where nothing bounds it.
func (p *pace) patience() (d time.Duration, ok bool) {
	switch {
	case p.rate > 0 && p.bound:
		return min(p.credit, p.left), true
	case p.rate > 0:
		return p.credit, true
	}
	return p.left, p.bound
}

// over tells whether the client is too slow. What a timer may be early by is
// no time left.
func (p *pace) over() bool {
	const early = 10 * time.Millisecond
	d, ok := p.patience()
	return ok && d < early
}
