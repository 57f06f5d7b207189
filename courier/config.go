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

// A Config is everything that a courier has to know. Zero values of the numbers
// are the defaults that smapd(8) documents.
type Config struct {
	// Dir is the spool, an absolute path; BadDir another directory for what is
	// set aside, on the same file system.
	Dir, BadDir string
	// Agent takes the mail. The courier closes it at the end, or when another
	// configuration replaces it.
	Agent agent.Agent
	// MaxChildren bounds concurrent deliveries; default 6.
	MaxChildren int
	// Batch is how many recipients one call of an agent gets; default 100.
	Batch int
	// AgentTimeout ends a call of an agent; default 10 minutes.
	AgentTimeout time.Duration
	// Wakeup is the time between rescans; default one minute.
	Wakeup time.Duration
	// StopGrace is how long running deliveries may go on after the courier was
	// told to stop; default 20 seconds.
	StopGrace time.Duration
	// Schedule says when to try again, and for how long.
	Schedule Schedule
	// Bounce sends reports (RFC 3464) to senders: of failures, and of delays and
	// successes where NOTIFY asks for them. They are fed through the spool.
	Bounce bool
	// BounceAgent takes what the courier itself wrote: reports and digests. Nil
	// is Agent.
	BounceAgent agent.Agent
	// BadAdmin gets a digest of what was set aside, at most one in an hour;
	// empty is nobody.
	BadAdmin string
	// Hostname is our name in reports; default the host's.
	Hostname string
	// Metrics is a file for Prometheus' textfile collector; empty is none.
	Metrics string
	// Once: deliver what is there and due, then return.
	Once bool
	// Log gets the events; nil discards them.
	Log *slog.Logger
}

const (
	defaultMaxChildren  = 6
	defaultBatch        = 100
	defaultAgentTimeout = 10 * time.Minute
	defaultWakeup       = time.Minute
	defaultStopGrace    = 20 * time.Second
	sweepEvery          = 5 * time.Minute
	flushAfter          = time.Second
)

// complete checks a configuration and fills in the defaults.
func (c Config) complete() (Config, error) {
	if !filepath.IsAbs(c.Dir) || c.BadDir != "" && !filepath.IsAbs(c.BadDir) {
		return c, errors.New("courier: the spool's directory must be an absolute path")
	}
	if c.Agent == nil {
		return c, errors.New("courier: no agent")
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
	orInt(&c.MaxChildren, defaultMaxChildren)
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

// close closes the agents.
func (c *Config) close() error {
	if c.BounceAgent != nil {
		return errors.Join(c.Agent.Close(), c.BounceAgent.Close())
	}
	return c.Agent.Close()
}

// maxDeferred is how many of the deliveries may be of deferred mail: new mail
// must always find a free one.
func (c *Config) maxDeferred() int {
	if c.MaxChildren == 1 {
		return 1
	}
	return c.MaxChildren - max(1, c.MaxChildren/4)
}
