package main

import (
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smap/internal/sysexits"
)

// A filter says which messages a command is about.
type filter struct {
	states     []string
	sender     string
	recipients string
	older      string
	newer      string
	ids        []string // whole ids; nil is any

	olderThan, newerThan time.Duration
}

// flags gives a command the options of a filter.
func (f *filter) flags(c *cobra.Command) {
	x := c.Flags()
	x.StringSliceVar(&f.states, "state", nil, "only `STATE`: "+strings.Join(states[:], "|"))
	x.StringVar(&f.sender, "sender", "", "only senders that contain `TEXT`; <> is the null sender")
	x.StringVar(&f.recipients, "recipient", "", "only messages with a recipient that contains `TEXT`")
	x.StringVar(&f.older, "older", "", "only messages older than `TIME`: 90s, 10m, 3h, 2d")
	x.StringVar(&f.newer, "newer", "", "only messages that arrived within `TIME`")
	_ = c.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(states[:], cobra.ShellCompDirectiveNoFileComp)) // the flag exists
}

// empty reports whether the filter takes every message.
func (f *filter) empty() bool {
	return len(f.states) == 0 && f.sender == "" && f.recipients == "" && f.older == "" && f.newer == "" && f.ids == nil
}

// onlyBad reports whether the filter is --state bad and nothing else.
func (f *filter) onlyBad() bool {
	return slices.Equal(f.states, []string{stateBad}) && f.sender == "" && f.recipients == "" && f.older == "" && f.newer == "" && f.ids == nil
}

// check reads the values of the options.
func (f *filter) check() (err error) {
	for _, s := range f.states {
		if !slices.Contains(states[:], s) {
			return usagef("--state %q is none of %s", s, strings.Join(states[:], ", "))
		}
	}
	for _, t := range []struct {
		text string
		to   *time.Duration
	}{{f.older, &f.olderThan}, {f.newer, &f.newerThan}} {
		if t.text == "" {
			continue
		}
		if *t.to, err = duration(t.text); err != nil {
			return failure(sysexits.Usage, err)
		}
	}
	return nil
}

// wants reports whether a message passes.
func (f *filter) wants(r *row, now time.Time) bool {
	contains := func(s, part string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(part)) }
	switch {
	case f.ids != nil && !slices.Contains(f.ids, r.ID):
		return false
	case len(f.states) > 0 && !slices.Contains(f.states, r.State):
		return false
	case f.sender == "<>" && (r.Sender == nil || *r.Sender != ""):
		return false
	case f.sender != "" && f.sender != "<>" && (r.Sender == nil || !contains(*r.Sender, f.sender)):
		return false
	case f.older != "" && now.Sub(r.Arrived) < f.olderThan:
		return false
	case f.newer != "" && now.Sub(r.Arrived) > f.newerThan:
		return false
	}
	return f.recipients == "" || slices.ContainsFunc(r.Recipients, func(x recipientJSON) bool { return contains(x.Address, f.recipients) })
}
