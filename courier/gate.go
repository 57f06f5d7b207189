package courier

import "time"

const (
	firstProbe = 250 * time.Millisecond
	lastProbe  = 30 * time.Second
)

// A gate is shut while something that all deliveries of a lane, or of the spool,
// need is out of order. Then one delivery at a time goes through as a probe, at
// growing intervals, until one gets through.
//
// The trouble that one message meets may be its own: its copy does not fit on the
// disk. So a gate shuts only when a second message meets trouble, and the next probe is
// another message.
type gate struct {
	what    string // for the log: "agent", "lane NAME" or "spool"
	shut    bool
	suspect string // the only message that met trouble, while the gate is open
	why     error  // the last trouble
	since   time.Time
	wait    time.Duration
	until   time.Time // the next probe, while it is shut
	probe   string    // the message that is the probe now
	logged  bool
}

// trouble takes in that a message met trouble. It returns true when that shuts the
// gate.
func (g *gate) trouble(name string, why error, now time.Time) bool {
	g.why = why
	if !g.shut {
		if g.suspect == "" || g.suspect == name {
			g.suspect = name
			return false
		}
		g.shut, g.since, g.wait, g.suspect = true, now, firstProbe, ""
		g.until = now.Add(g.wait)
		return true
	}
	if name == g.probe {
		g.probe = ""
		g.wait = min(2*g.wait, lastProbe)
		g.until = now.Add(g.wait)
	}
	return false
}

// reached takes in that a message got through, which opens the gate. It returns true
// when trouble was logged that is over.
func (g *gate) reached() bool {
	logged := g.logged
	*g = gate{what: g.what}
	return logged
}

// passed takes in that a message got through that needed less than others do: the
// trouble may last, but the next probe need not wait.
func (g *gate) passed(now time.Time) {
	if g.shut {
		g.wait, g.until = firstProbe, now
	}
}

// lets tells whether a delivery may start.
func (g *gate) lets(now time.Time) bool {
	return !g.shut || g.probe == "" && !now.Before(g.until)
}

// start notes that the delivery of a message starts; while the gate is shut it is
// the probe.
func (g *gate) start(name string) {
	if g.shut {
		g.probe = name
	}
}

// end notes that a delivery has ended, whatever it met. A probe that met nothing
// (its message was locked, or gone) leaves the place to another one at once.
func (g *gate) end(name string) {
	if g.probe == name {
		g.probe = ""
	}
}

// wake returns when the next probe may start; zero is not by time.
func (g *gate) wake() time.Time {
	if g.shut && g.probe == "" {
		return g.until
	}
	return time.Time{}
}
