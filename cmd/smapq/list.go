package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"smap/internal/sysexits"
)

// listOptions say which messages to list.
type listOptions struct {
	states     []string
	sender     string
	recipients string
	older      string
	newer      string
	ids        bool

	olderThan, newerThan time.Duration
}

func (a *app) listCommand() *cobra.Command {
	var o listOptions
	c := &cobra.Command{
		Use:     "list [flags]",
		Aliases: []string{"ls", "queue"},
		Short:   "List the messages in the spool",
		Example: `  smapq list --state deferred --older 2h
  smapq list --recipient @example.org --json | jq .last_error
  smapq list --state bad --ids | xargs smapq requeue`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.list(c.Context(), o) },
	}
	f := c.Flags()
	f.StringSliceVar(&o.states, "state", nil, "only `STATE`: "+strings.Join(states[:], "|"))
	f.StringVar(&o.sender, "sender", "", "only senders that contain `TEXT`; <> is no sender")
	f.StringVar(&o.recipients, "recipient", "", "only with a recipient that contains `TEXT`")
	f.StringVar(&o.older, "older", "", "only older than `TIME`: 90s, 10m, 3h, 2d")
	f.StringVar(&o.newer, "newer", "", "only those that arrived within `TIME`")
	f.BoolVar(&o.ids, "ids", false, "write the ids alone")
	_ = c.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(states[:], cobra.ShellCompDirectiveNoFileComp)) // the flag exists
	return a.withJSON(c)
}

// check makes sense of what was typed.
func (o *listOptions) check() (err error) {
	for _, s := range o.states {
		if !slices.Contains(states[:], s) {
			return usagef("--state %q is none of %s", s, strings.Join(states[:], ", "))
		}
	}
	for _, t := range []struct {
		text string
		to   *time.Duration
	}{{o.older, &o.olderThan}, {o.newer, &o.newerThan}} {
		if t.text == "" {
			continue
		}
		if *t.to, err = duration(t.text); err != nil {
			return failure(sysexits.Usage, err)
		}
	}
	return nil
}

// wants tells whether a row passes the filters.
func (o *listOptions) wants(r *row, now time.Time) bool {
	contains := func(s, part string) bool { return strings.Contains(strings.ToLower(s), strings.ToLower(part)) }
	switch {
	case len(o.states) > 0 && !slices.Contains(o.states, r.State):
		return false
	case o.sender == "<>" && (r.Sender == nil || *r.Sender != ""):
		return false
	case o.sender != "" && o.sender != "<>" && (r.Sender == nil || !contains(*r.Sender, o.sender)):
		return false
	case o.older != "" && now.Sub(r.Arrived) < o.olderThan:
		return false
	case o.newer != "" && now.Sub(r.Arrived) > o.newerThan:
		return false
	}
	return o.recipients == "" || slices.ContainsFunc(r.Recipients, func(x recipientJSON) bool { return contains(x.Address, o.recipients) })
}

// mailq is list without options, as the command of that name.
func (a *app) mailq(ctx context.Context) error { return a.list(ctx, listOptions{}) }

func (a *app) list(ctx context.Context, o listOptions) error {
	if err := o.check(); err != nil {
		return err
	}
	s, err := a.view()
	if err != nil {
		return err
	}
	defer s.Close() // only read
	now := a.now()
	p := newProgress(a.err, "messages read:")
	printer := &listPrinter{a: a, now: now, counts: make(map[string]int)}
	rows := make([]row, chunkSize)
	errs := make([]error, chunkSize)
	seen := 0
	sorted, err := walk(ctx, s, walkBoxes(s), maxSorted, func(part []ref) error {
		parallel(len(part), func(i int, buf []byte) { rows[i], errs[i] = read(s, part[i], now, buf) })
		for i := range part {
			seen++
			switch {
			case errors.Is(errs[i], fs.ErrNotExist):
				continue // it moved on while we looked
			case errs[i] != nil:
				return errs[i]
			case !o.wants(&rows[i], now):
				continue
			}
			if err := printer.print(&rows[i], o.ids); err != nil {
				return err
			}
		}
		p.at(seen &^ 255)
		return nil
	})
	p.end()
	if err != nil {
		return err
	}
	if !sorted {
		fmt.Fprintf(a.err, "smapq: more than %d messages: not sorted\n", maxSorted)
	}
	if !a.json && !o.ids {
		return printer.total()
	}
	return nil
}
