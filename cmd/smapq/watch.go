package main

import (
	"context"
	"os"
	"os/signal"
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
		Long: `Watch shows how many messages there are in each state, how many come and go, the
oldest, what is being delivered right now, and a plot of the last minutes, until
it is interrupted. With --json it streams events for a program.`,
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

// maxLoad keeps the looks at a large spool from being all that a machine does:
// a look takes at most so many parts of the time between two.
const maxLoad = 10

// A live is a run of watch.
type live struct {
	a       *app
	spool   *spoolfmt.Spool
	reader  *eventReader
	begin   time.Time
	last    *counts
	rates   history
	working []row // what is being delivered
}

func (a *app) watch(ctx context.Context, every time.Duration) error {
	if !a.json && a.term.width == 0 {
		return usagef("standard output is no terminal; --json streams events to a program")
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
	l := &live{a: a, spool: s, reader: newEventReader(s), begin: a.now()}
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
	l.working = l.working[:0]
	for _, r := range t.working {
		if row, err := read(l.spool, r, t.Time, nil); err == nil {
			l.working = append(l.working, row)
		}
	}
	if l.a.json {
		state := struct {
			Event string `json:"event"`
			*counts
		}{"state", t}
		return l.a.printNow(state)
	}
	return l.draw()
}
