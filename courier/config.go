package courier

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt/envelope"
)

// A Config is everything that a courier needs. Zero values of the numbers
// are the defaults that smapd(8) documents.
type Config struct {
	// Dir is the spool, an absolute path; BadDir another directory for what is
	// set aside, on the same file system.
	Dir, BadDir string
	// Agent takes the mail. The courier closes it at the end, or when another
	// configuration replaces it.
	Agent agent.Agent
	// MaxChildren bounds the deliveries of each lane; default 8. Below zero, it pauses
	// the lanes that have no number of their own.
	MaxChildren int
	// Batch is how many recipients one call of an agent gets; default 100.
	Batch int
	// Lanes are agents besides Agent, for the recipients that Routes send there.
	Lanes  []Lane
	Routes []Route
	// AgentTimeout ends a call of a program; default 10 minutes. SMTP and LMTP have
	// limits of their own, which progress renews.
	AgentTimeout time.Duration
	// Wakeup is the time between rescans; default one minute.
	Wakeup time.Duration
	// StopGrace is how long running deliveries may go on after the courier was
	// told to stop; default 20 seconds.
	StopGrace time.Duration
	// Schedule is when to try again, and for how long.
	Schedule Schedule
	// Bounce sends reports (RFC 3464) to senders: of failures, and of delays and
	// successes where NOTIFY asks for them. They are fed through the spool.
	Bounce bool
	// BounceAgent takes what the courier itself wrote: reports and digests. It has a
	// lane of its own. Nil is the lane that Routes give.
	BounceAgent agent.Agent
	// BadAdmin gets a digest of what was set aside, at most once in an hour; empty is
	// no digest.
	BadAdmin string
	// Hostname is our name in reports; default the host's.
	Hostname string
	// Shut is a file that says which lanes' agents cannot be reached, such as ShutFile;
	// empty is none.
	Shut string
	// Metrics is a file for Prometheus' textfile collector; empty is none.
	Metrics string
	// Once: deliver what is in the spool and due, then return.
	Once bool
	// Log gets the events; nil discards them.
	Log *slog.Logger
}

const (
	defaultMaxChildren  = 8
	defaultBatch        = 100
	defaultAgentTimeout = 10 * time.Minute
	defaultWakeup       = time.Minute
	defaultStopGrace    = 20 * time.Second
)

// complete checks a configuration and fills in the defaults.
func (c Config) complete() (Config, error) {
	if !filepath.IsAbs(c.Dir) || c.BadDir != "" && !filepath.IsAbs(c.BadDir) {
		return c, errors.New("courier: the spool's directory must be an absolute path")
	}
	if c.Agent == nil {
		return c, errors.New("courier: no agent")
	}
	if err := c.checkRoutes(); err != nil {
		return c, err
	}
	orInt := func(p *int, def int) {
		if *p <= 0 {
			*p = def
		}
	}
	orTime := func(p *time.Duration, def time.Duration) {
		if *p <= 0 {
			*p = def
		}
	}
	if c.MaxChildren == 0 {
		c.MaxChildren = defaultMaxChildren
	}
	orInt(&c.Batch, defaultBatch)
	orTime(&c.AgentTimeout, defaultAgentTimeout)
	orTime(&c.Wakeup, defaultWakeup)
	orTime(&c.StopGrace, defaultStopGrace)
	if c.Hostname == "" {
		name, err := os.Hostname()
		if err != nil || envelope.CheckAddress("x@"+name) != nil {
			name = "localhost"
		}
		c.Hostname = name
	}
	if c.BadAdmin != "" {
		if err := envelope.CheckAddress(c.BadAdmin); err != nil {
			return c, fmt.Errorf("courier: badadmin: %w", err)
		}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c, nil
}

// A Lane is an agent with its own queue, slots and gate: whatever happens in one
// lane, mail in others does not wait for it.
type Lane struct {
	Name  string
	Agent agent.Agent
	// MaxChildren bounds the deliveries of this lane; 0 is the configuration's
	// number, below zero the lane is paused.
	MaxChildren int
	// Batch is how many recipients one call gets; 0 is the configuration's number.
	Batch int
}

// lanes returns all lanes with their numbers, the default lane first.
func (c *Config) lanes() []Lane {
	all := []Lane{{Agent: c.Agent}}
	all = append(all, c.Lanes...)
	if c.BounceAgent != nil {
		all = append(all, Lane{Name: reportLane, Agent: c.BounceAgent})
	}
	for i := range all {
		l := &all[i]
		if l.MaxChildren == 0 {
			l.MaxChildren = c.MaxChildren
		}
		if l.Batch <= 0 {
			l.Batch = c.Batch
		}
		l.MaxChildren = max(l.MaxChildren, 0) // 0 is a lane that is paused
	}
	return all
}

// close closes the agents.
func (c *Config) close() error {
	var errs []error
	for _, l := range c.lanes() {
		if err := l.Agent.Close(); err != nil {
			errs = append(errs, fmt.Errorf("close %s: %w", l.Agent.Name(), err))
		}
	}
	return errors.Join(errs...)
}
