package main

import (
	"cmp"
	"context"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"

	"github.com/fsnotify/fsnotify"
	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"smap/internal/sysexits"
	"smap/spoolfmt"
)

func (a *app) watchCommand() *cobra.Command {
	every := "1s"
	c := &cobra.Command{
		Use:   "watch [flags]",
		Short: "Show live what happens in the spool",
		Long: `Watch shows the messages in each state, how many come and go, the oldest, what
is in delivery and for how long, the last errors, and a plot of the last
minutes. It ends when it is interrupted. With --json it streams events for a
program.`,
		Example: `  smapq watch
  smapq watch --json | jq 'select(.event == "aside")'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			d, err := duration(every)
			if err != nil {
				return failf(sysexits.Usage, "--every: %w", err)
			}
			return a.watch(c.Context(), max(d, 100*time.Millisecond))
		},
	}
	c.Flags().StringVar(&every, "every", every, "look every `TIME`")
	return a.withJSON(c)
}

// maxLoad keeps a large spool from making a machine busy with counting: the pause
// between two counts is this many times as long as a count.
const maxLoad = 10

// A live is a run of watch.
type live struct {
	a       *app
	spool   *spoolfmt.Spool
	reader  *eventReader
	begin   time.Time
	last    *counts
	rates   history
	working []row                // in delivery, the longest first
	since   map[string]time.Time // when a delivery was first seen, by id
	errors  []failed             // the last, the newest first
}

// maxErrors is how many errors watch shows.
const maxErrors = 4

// A failed delivery was deferred or set aside.
type failed struct {
	at  time.Time
	row row
}

func (a *app) watch(ctx context.Context, every time.Duration) error {
	if !a.json && a.term.width == 0 {
		return usagef("standard output is not a terminal; --json streams events to a program")
	}
	s, err := a.view()
	if err != nil {
		return err
	}
	defer s.Close() // only read
	ctx, stop := signal.NotifyContext(ctx, unix.SIGINT, unix.SIGTERM, unix.SIGHUP)
	defer stop()
	resized := make(chan os.Signal, 1)
	signal.Notify(resized, unix.SIGWINCH)
	defer signal.Stop(resized)
	l := &live{a: a, spool: s, reader: newEventReader(s), begin: a.now(), since: make(map[string]time.Time)}
	defer l.reader.close()
	if !a.json {
		a.out.WriteString(screenOn)
		defer a.out.WriteString(screenOff)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-resized:
			a.term.measure()
			err = l.draw()
		case e, ok := <-l.reader.events():
			err = l.take(e, ok)
		case <-timer.C:
			began := time.Now()
			err = l.look(ctx)
			timer.Reset(max(every, maxLoad*time.Since(began)))
		}
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// take counts an event, and prints it with --json.
func (l *live) take(e fsnotify.Event, ok bool) error {
	if !ok {
		l.reader.close() // from now on counts alone
		return nil
	}
	h, ok := l.reader.interpret(e, l.a.now())
	if !ok {
		return nil
	}
	l.rates.count(h.Event)
	if !l.a.json {
		l.remember(h)
		return nil
	}
	return l.a.printNow(h)
}

// look counts, and shows it.
func (l *live) look(ctx context.Context) error {
	t, err := l.a.count(ctx, l.spool)
	if err != nil {
		return err
	}
	l.last = t
	l.rates.tick(t.Time)
	l.inDelivery(t)
	if l.a.json {
		state := struct {
			Event string `json:"event"`
			*counts
		}{"state", t}
		return l.a.printNow(state)
	}
	return l.draw()
}

// remember keeps the reason of a delivery that failed.
func (l *live) remember(c change) {
	box := spoolfmt.Cur
	switch c.Event {
	case eventDeferred:
	case eventAside:
		box = spoolfmt.Bad
	default:
		return
	}
	r, err := read(l.spool, ref{id: c.ID, box: box, kind: spoolfmt.KindEnvelope}, c.Time, nil, nil)
	if err != nil || r.why() == "" {
		return
	}
	l.errors = append([]failed{{at: c.Time, row: r}}, l.errors[:min(len(l.errors), maxErrors-1)]...)
}

// inDelivery reads the messages in delivery, and sorts them by how long that takes.
func (l *live) inDelivery(t *counts) {
	l.working = l.working[:0]
	since := make(map[string]time.Time, len(t.working))
	for _, r := range t.working {
		row, err := read(l.spool, r, t.Time, nil, nil)
		if err != nil {
			continue
		}
		l.working = append(l.working, row)
		since[r.id] = t.Time
		if at, known := l.since[r.id]; known {
			since[r.id] = at
		}
	}
	l.since = since
	slices.SortFunc(l.working, func(a, b row) int {
		return cmp.Or(since[a.ID].Compare(since[b.ID]), strings.Compare(a.ID, b.ID))
	})
}
