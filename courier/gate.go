package courier

import "time"

const (
	firstProbe = 250 * time.Millisecond
	lastProbe  = 30 * time.Second
)

// A gate is shut while something that every delivery needs is broken. Then one
// delivery at a time goes through as a probe, at growing intervals, until one
// finds it healed.
type gate struct {
	what  string // "agent" or "spool", for the log
	shut  bool
	wait  time.Duration
	until time.Time
	probe item // what met the trouble, and is tried first
}

// trip shuts the gate and returns true when it was open. What meets the trouble
// as a probe is not the next probe: the trouble may be its own, such as a content
// too large for the room that is left, and others must not wait for that.
func (g *gate) trip(now time.Time, it item) bool {
	first := !g.shut
	switch {
	case first:
		g.shut, g.wait = true, firstProbe
	case now.Before(g.until):
		return false // one of those that had started before
	default:
		g.wait = min(2*g.wait, lastProbe)
	}
	g.until = now.Add(g.wait)
	if g.probe = (item{}); first {
		g.probe = it
	}
	return first
}

// heal opens the gate and returns true when it was shut.
func (g *gate) heal() bool {
	was := g.shut
	g.shut, g.probe = false, item{}
	return was
}

// lets tells whether a delivery may start while so many are running.
func (g *gate) lets(now time.Time, running int) bool {
	return !g.shut || running == 0 && !now.Before(g.until)
}
