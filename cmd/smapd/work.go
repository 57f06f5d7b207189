package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"smap/courier"
	"smap/internal/detach"
	"smap/internal/supervise"
	"smap/internal/sysexits"
)

// lineFD is the child's line to the parent, which sends JSON texts on it: the
// rules, and again at each reload.
const lineFD = 3

// alone is smapd without root: one process.
func alone(o options, r *rules, stderr io.Writer) int {
	log := startLog(r, stderr)
	if log == nil {
		return sysexits.OSErr
	}
	if o.inner {
		remove, err := detach.WritePid("smapd", o.pidFile)
		if err != nil {
			fmt.Fprintln(stderr, "smapd:", err) // which the shell shows: see detach
			log.Error(eventFatal, "error", err.Error())
			return sysexits.OSErr
		}
		defer remove()
	}
	reload := func() (*rules, error) {
		fresh, err := rereadRules(o.table, false)
		if err == nil {
			fresh.override(o)
		}
		return fresh, err
	}
	m := &manager{log: log}
	return work(context.Background(), r, log, reload, nil, reporting{
		ready:    func() { sayReady(o); m.ready() },
		alive:    m.alive,
		reload:   m.reload,
		reloaded: m.reloaded,
		stopping: m.stopping,
	})
}

// child is the process that does the work when the parent is root.
func child(stderr io.Writer) int {
	line := supervise.Attach(lineFD)
	in := json.NewDecoder(line)
	next := func() (*rules, error) {
		r := new(rules)
		if err := in.Decode(r); err != nil {
			return nil, fmt.Errorf("rules from the parent: %w", err)
		}
		return r, r.parse(false)
	}
	r, err := next()
	if err != nil {
		fmt.Fprintln(stderr, "smapd:", err)
		return sysexits.Software
	}
	log, err := newLogger(r, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "smapd:", err)
		return sysexits.OSErr
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	pushed := make(chan *rules)
	go func() {
		for {
			r, err := next()
			if err != nil {
				if !errors.Is(err, io.EOF) {
					log.Error(eventFatal, "error", err)
				}
				cancel() // the parent is gone: end as with TERM
				return
			}
			pushed <- r
		}
	}()
	say := func(what func() error) func() {
		return func() {
			if err := what(); err != nil {
				log.Warn(eventTrouble, "what", "parent", "error", err.Error())
			}
		}
	}
	nothing := func() {}
	return work(ctx, r, log, nil, pushed, reporting{ready: say(line.Ready), alive: say(line.Alive),
		reload: nothing, reloaded: nothing, stopping: nothing})
}

// reporting is how the process that works tells others how it is.
type reporting struct{ ready, alive, reload, reloaded, stopping func() }

// report says that the courier is at work and then, where somebody wants to
// know, at every beat that its loop still turns.
func report(ctx context.Context, c *courier.Courier, beat time.Duration, to reporting) {
	if c.Ping(ctx) != nil {
		return
	}
	to.ready()
	if beat <= 0 {
		return
	}
	t := time.NewTicker(beat)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if c.Ping(ctx) == nil {
				to.alive()
			}
		}
	}
}

// work runs the courier until a signal or the parent ends it. On HUP it calls
// reread, which is nil where the parent pushes new rules instead.
func work(ctx context.Context, r *rules, log *slog.Logger, reread func() (*rules, error), pushed <-chan *rules, to reporting) int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1)
	// Caught and not ignored: that agents would inherit, and their pipelines
	// would not end.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
	c, err := r.courier(log)
	if err != nil {
		log.Error(eventFatal, "error", err)
		return exitCode(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	working, end := context.WithCancel(context.Background())
	defer end()
	go report(working, c, r.Beat, to)
	for {
		select {
		case err := <-done:
			return ended(err, log)
		case fresh := <-pushed:
			apply(c, fresh, nil, log)
		case s := <-signals:
			switch {
			case s == syscall.SIGUSR1:
				c.Rescan()
			case s != syscall.SIGHUP:
				to.stopping()
				cancel()
			case reread != nil:
				to.reload()
				fresh, err := reread()
				apply(c, fresh, err, log)
				to.reloaded()
			}
		}
	}
}

func ended(err error, log *slog.Logger) int {
	switch {
	case err == nil:
		return sysexits.OK
	case errors.Is(err, courier.ErrUndelivered):
		log.Warn(eventUndelivered, "error", err.Error())
		return sysexits.TempFail
	}
	log.Error(eventFatal, "error", err.Error())
	return sysexits.OSErr
}

// apply puts new rules into use; with an error the old ones stay.
func apply(c *courier.Courier, fresh *rules, err error, log *slog.Logger) {
	var cfg courier.Config
	if err == nil {
		cfg, err = fresh.config()
	}
	if err == nil {
		cfg.Log, fresh.log = log, log
		err = c.Reload(cfg)
	}
	if err != nil {
		log.Error(eventReloadFailed, "error", err.Error())
	}
}
