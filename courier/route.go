package courier

import (
	"errors"
	"fmt"
	"strings"

	"smap/spoolfmt/envelope"
)

// A Pattern matches addresses:
//
//	ann@example.com      that address
//	ann+*@example.com    local parts that begin with "ann+"
//	ann@                 that local part, in any domain or in none
//	example.com          the domain
//	.example.com         the domain and everything below it
//
// The case of ASCII letters does not matter, of others it does.
type Pattern struct {
	text      string // as it was written
	local     string
	prefix    bool // local is the begin of a local part
	domain    string
	below     bool // domain, or below it
	anyLocal  bool
	anyDomain bool
}

// ParsePattern reads a pattern.
func ParsePattern(s string) (Pattern, error) {
	local, domain, address := "", s, false
	if i := strings.LastIndexByte(s, '@'); i >= 0 {
		local, domain, address = s[:i], s[i+1:], true
	}
	p := Pattern{text: s, local: lower(local), domain: lower(domain), anyLocal: !address, anyDomain: address && domain == ""}
	if address {
		p.local, p.prefix = strings.CutSuffix(p.local, "*")
	} else {
		p.domain, p.below = strings.CutPrefix(p.domain, ".")
	}
	check := "x@" + p.domain
	if p.anyDomain {
		check = "x@example.com"
	}
	switch {
	case address && local == "":
		return Pattern{}, fmt.Errorf("pattern %q has no local part: %q matches a domain", s, domain)
	case strings.Contains(p.local, "*"), strings.Contains(p.domain, "*"):
		return Pattern{}, fmt.Errorf("pattern %q: a * can only end the local part", s)
	case envelope.CheckAddress(check) != nil:
		return Pattern{}, fmt.Errorf("pattern %q: %q is not a domain", s, domain)
	case !p.anyLocal && !p.prefix && envelope.CheckAddress(p.local) != nil:
		return Pattern{}, fmt.Errorf("pattern %q: %q is not a local part", s, local)
	}
	return p, nil
}

// Match tells whether the pattern matches an address of an envelope.
func (p Pattern) Match(address string) bool { return p.match(addressParts(address)) }

// match matches the parts of an address that addressParts returns.
func (p *Pattern) match(local, domain string) bool {
	switch {
	case p.anyLocal, p.prefix && strings.HasPrefix(local, p.local), local == p.local:
	default:
		return false
	}
	return p.anyDomain || domain == p.domain || p.below && strings.HasSuffix(domain, "."+p.domain)
}

// addressParts returns the two parts of an address as patterns have them.
func addressParts(address string) (local, domain string) {
	local, domain = envelope.SplitAddress(address)
	return lower(envelope.UnquoteLocal(local)), lower(domain)
}

// lower lowers ASCII letters only.
func lower(s string) string {
	return strings.Map(func(c rune) rune {
		if c >= 'A' && c <= 'Z' {
			return c + 'a' - 'A'
		}
		return c
	}, s)
}

// A Route sends the recipients that match one of its patterns to a lane.
type Route struct {
	Lane     string
	Patterns []Pattern
}

// checkRoutes tells whether each route leads to a lane that exists.
func (c *Config) checkRoutes() error {
	names := map[string]bool{"": true}
	for _, l := range c.Lanes {
		switch {
		case l.Agent == nil:
			return fmt.Errorf("courier: lane %s has no agent", l.Name)
		case l.Name == "" || l.Name == reportLane || l.Name == defaultLane || names[l.Name]:
			return fmt.Errorf("courier: the name of lane %q is reserved or repeated", l.Name)
		}
		names[l.Name] = true
	}
	for _, r := range c.Routes {
		if !names[r.Lane] {
			return fmt.Errorf("courier: route to %s: there is no such lane", r.Lane)
		}
		if len(r.Patterns) == 0 {
			return errors.New("courier: a route without patterns")
		}
	}
	return nil
}

// reportLane is the lane of what the courier itself wrote, where there is an agent
// for that.
const reportLane = "reports"

// defaultLane is what the lane of everything that no route matches is called where it
// needs a name.
const defaultLane = "default"

// Lane returns the name of the lane that mail for an address takes: that of the
// first route that matches, or the empty name.
func (c *Config) Lane(address string) string {
	if len(c.Routes) == 0 {
		return ""
	}
	local, domain := addressParts(address)
	for _, r := range c.Routes {
		for i := range r.Patterns {
			if r.Patterns[i].match(local, domain) {
				return r.Lane
			}
		}
	}
	return ""
}

// OwnLane returns the lane of what the courier itself writes to an address: the agent
// for that, or the lane that Lane gives.
func (c *Config) OwnLane(address string) Lane {
	name := c.laneFor(true, address)
	for _, l := range c.lanes() {
		if l.Name == name {
			return l
		}
	}
	return Lane{Agent: c.Agent}
}

// laneFor is Lane for a recipient of a message that the courier may have written.
func (c *Config) laneFor(own bool, address string) string {
	if own && c.BounceAgent != nil {
		return reportLane
	}
	return c.Lane(address)
}
