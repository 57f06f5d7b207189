package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"smap/courier"
	"smap/spoolfmt"
)

// listOptions say which messages to list, and how.
type listOptions struct {
	filter
	idsOnly bool
	oneline bool
	summary bool
}

func (o *listOptions) flags(c *cobra.Command) {
	o.filter.flags(c)
	f := c.Flags()
	f.BoolVar(&o.idsOnly, "ids", false, "write only the ids")
	f.BoolVar(&o.oneline, "oneline", false, "one line for each message, with a short id")
	f.BoolVar(&o.summary, "summary", false, "group by reason")
	c.MarkFlagsMutuallyExclusive("ids", "oneline", "summary")
}

func (a *app) listCommand() *cobra.Command {
	var o listOptions
	c := &cobra.Command{
		Use:     "list [flags] [ID...]",
		Aliases: []string{"ls", "queue"},
		Short:   "List the messages in the spool, and why they wait",
		Example: `  smapq list --state deferred --older 2h
  smapq list --summary
  smapq list --recipient @example.org --json | jq .last_error
  smapq list --state bad --ids | xargs smapq requeue`,
		ValidArgsFunction: a.completeIDs(spoolfmt.New, spoolfmt.Cur, spoolfmt.Bad),
		RunE:              func(c *cobra.Command, ids []string) error { return a.list(c.Context(), o, ids) },
	}
	o.flags(c)
	return a.withJSON(c)
}

func (a *app) list(ctx context.Context, o listOptions, typed []string) error {
	s, err := a.view()
	if err != nil {
		return err
	}
	defer s.Close() // only read
	if len(typed) > 0 {
		if o.ids, err = resolve(ctx, s, typed); err != nil {
			return err
		}
	}
	p := &listPrinter{a: a, now: a.now(), counts: make(map[string]int), o: o}
	groups := &summary{groups: make(map[[2]string]*group)}
	if o.oneline && !a.json {
		if p.short, err = shortNames(ctx, s); err != nil {
			return err
		}
	}
	shown := make(map[string]bool)
	err = a.eachRowOf(ctx, s, &o.filter, func(r *row) error {
		if len(o.ids) > 0 {
			shown[r.ID] = true
		}
		if o.summary {
			groups.add(r)
			return nil
		}
		return p.print(r)
	})
	switch {
	case err != nil:
		return err
	case o.summary:
		return a.printSummary(groups)
	case !a.json && !o.idsOnly:
		if err := p.total(); err != nil {
			return err
		}
	}
	for _, id := range o.ids {
		if !shown[id] {
			return fmt.Errorf("%s: %w in the spool", id, spoolfmt.ErrGone)
		}
	}
	return nil
}

// shortNames returns a short id for every message, nil where there are too many.
func shortNames(ctx context.Context, s *spoolfmt.Spool) (map[string]string, error) {
	var ids []string
	err := eachRef(ctx, s, walkBoxes(s), func(r ref) error {
		if len(ids) == maxSorted {
			return errManyMessages
		}
		ids = append(ids, r.id)
		return nil
	})
	if errors.Is(err, errManyMessages) {
		return nil, nil
	}
	slices.Sort(ids)
	return shortIDs(slices.Compact(ids)), err
}

// eachRow is eachRowOf the spool.
func (a *app) eachRow(ctx context.Context, f *filter, do func(*row) error) error {
	s, err := a.view()
	if err != nil {
		return err
	}
	defer s.Close() // only read
	return a.eachRowOf(ctx, s, f, do)
}

// eachRowOf reads the messages that pass a filter, the oldest first.
func (a *app) eachRowOf(ctx context.Context, s *spoolfmt.Spool, f *filter, do func(*row) error) error {
	if err := f.check(); err != nil {
		return err
	}
	now, shut := a.now(), a.shut(s)
	p := newProgress(a.err, "messages read:")
	defer p.end()
	var sets [2]struct {
		rows [chunkSize]row
		errs [chunkSize]error
	}
	// While some are shown, the next ones are read.
	shown := make(chan error, 1)
	shown <- nil
	seen, turn := 0, 0
	sorted, err := walk(ctx, s, walkBoxes(s), maxSorted, func(part []ref) error {
		set := &sets[turn]
		turn = 1 - turn
		parallel(len(part), func(i int, buf []byte) { set.rows[i], set.errs[i] = read(s, part[i], now, buf, shut) })
		if err := <-shown; err != nil {
			shown <- nil
			return err
		}
		go func() { shown <- eachGood(set.rows[:len(part)], set.errs[:len(part)], f, now, do) }()
		seen += len(part)
		p.at(seen &^ 255)
		return nil
	})
	err = errors.Join(err, <-shown)
	if err == nil && !sorted {
		fmt.Fprintf(a.err, "smapq: more than %d messages: not sorted\n", maxSorted)
	}
	return err
}

// shut returns which lanes of smapd are shut. Where that cannot be read, nobody knows.
func (a *app) shut(s *spoolfmt.Spool) *courier.Shut {
	shut, err := courier.ReadShut(filepath.Dir(s.Path(spoolfmt.New)))
	if err != nil {
		fmt.Fprintf(a.err, "smapq: why mail waits is not known: %v\n", err)
	}
	return shut
}

func eachGood(rows []row, errs []error, f *filter, now time.Time, do func(*row) error) error {
	for i := range rows {
		switch {
		case errors.Is(errs[i], fs.ErrNotExist):
			continue // it moved on while we looked
		case errs[i] != nil:
			return errs[i]
		case !f.wants(&rows[i], now):
			continue
		}
		if err := do(&rows[i]); err != nil {
			return err
		}
	}
	return nil
}
