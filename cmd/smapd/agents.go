package main

import (
	"fmt"
	"io/fs"
	"strconv"

	"smap/courier"
	"smap/courier/agent"
	"smap/netperm"
)

// A namedAgent is an agent as the table describes it.
type namedAgent struct {
	lane  string // empty for agent and bounce-agent
	words []string
	fail  func(format string, args ...any) *netperm.Error // an error with the line
}

// agents returns every agent of the table: agent, bounce-agent if it is written, and
// the lanes.
func (r *rules) agents() []namedAgent {
	var all []namedAgent
	for _, c := range []netperm.WordsClause{netperm.Agent, netperm.BounceAgent} {
		a := namedAgent{words: r.table.Words(c)}
		switch {
		case len(a.words) > 0:
		case c == netperm.BounceAgent:
			continue
		default:
			a.words = r.defaultAgent()
		}
		clause := netperm.Clause(c)
		if !r.table.Has(c) && r.table.Has(netperm.Sendmail) {
			clause = netperm.Sendmail
		}
		a.fail = func(format string, args ...any) *netperm.Error { return r.table.Errorf(clause, format, args...) }
		all = append(all, a)
	}
	for _, l := range r.table.Lines(netperm.Lane) {
		all = append(all, namedAgent{lane: l.Words[0], words: l.Words[1:],
			fail: func(format string, args ...any) *netperm.Error {
				return r.table.ErrorAt(netperm.Lane, l, format, args...)
			}})
	}
	return all
}

// setAgents puts the agents, lanes and routes of the table into a configuration.
func (r *rules) setAgents(cfg *courier.Config) error {
	options := agent.Options{Hostname: r.table.String(netperm.Hostname), ReadFile: r.readFile,
		MaxSize: r.maxBytes(), TooSmall: r.tooSmall}
	for i, a := range r.agents() {
		made, err := agent.Parse(a.words, options)
		switch {
		case err != nil:
			return a.fail("%w", err)
		case i == 0:
			cfg.Agent = made
		case a.lane == "":
			cfg.BounceAgent = made
		default:
			cfg.Lanes = append(cfg.Lanes, courier.Lane{Name: a.lane, Agent: made})
		}
		if a.lane != "" && lane(cfg, a.lane) != &cfg.Lanes[len(cfg.Lanes)-1] {
			return a.fail("lane %s is repeated", a.lane)
		}
	}
	for _, l := range r.table.Lines(netperm.LaneLimits) {
		if err := setLimits(cfg, l.Words); err != nil {
			return r.table.ErrorAt(netperm.LaneLimits, l, "%w", err)
		}
	}
	for _, l := range r.table.Lines(netperm.Route) {
		if lane(cfg, l.Words[0]) == nil {
			return r.table.ErrorAt(netperm.Route, l, "there is no lane %s; add a rule \"smapd: lane %[1]s KIND ...\"", l.Words[0])
		}
		route := courier.Route{Lane: l.Words[0]}
		for _, w := range l.Words[1:] {
			p, err := courier.ParsePattern(w)
			if err != nil {
				return r.table.ErrorAt(netperm.Route, l, "%w", err)
			}
			route.Patterns = append(route.Patterns, p)
		}
		cfg.Routes = append(cfg.Routes, route)
	}
	return nil
}

// lane returns the lane of that name, nil if there is none.
func lane(cfg *courier.Config, name string) *courier.Lane {
	for i := range cfg.Lanes {
		if cfg.Lanes[i].Name == name {
			return &cfg.Lanes[i]
		}
	}
	return nil
}

// setLimits reads "NAME maxchildren N batch N".
func setLimits(cfg *courier.Config, words []string) error {
	l := lane(cfg, words[0])
	if l == nil {
		return fmt.Errorf("there is no lane %s; add a rule \"smapd: lane %[1]s KIND ...\"", words[0])
	}
	for rest := words[1:]; len(rest) > 0; rest = rest[2:] {
		if len(rest) == 1 {
			return fmt.Errorf("%s needs a number", rest[0])
		}
		n, err := strconv.Atoi(rest[1])
		switch {
		case rest[0] != "maxchildren" && rest[0] != "batch":
			return fmt.Errorf("%q is neither maxchildren nor batch", rest[0])
		case err != nil, n < 0, n > 5000, n == 0 && rest[0] == "batch":
			return fmt.Errorf("%s takes a number from 0 to 5000, not %q", rest[0], rest[1])
		case rest[0] == "batch":
			l.Batch = n
		default:
			l.MaxChildren = paused(n)
		}
	}
	return nil
}

// paused turns the table's 0, which pauses a lane, into the courier's.
func paused(n int) int {
	if n == 0 {
		return -1
	}
	return n
}

// readFile returns a file that the table names and readFiles has read.
func (r *rules) readFile(name string) ([]byte, error) {
	data, ok := r.Files[name]
	if !ok {
		return nil, fmt.Errorf("%w: it was not read with the table", fs.ErrNotExist)
	}
	return data, nil
}
