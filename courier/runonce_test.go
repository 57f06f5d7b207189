package courier

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"smap/courier/agent"
	"smap/spoolfmt"
)

// TestOnceLeavesNothing: a courier that ran once has given back its watch. The
// system has few of them.
func TestOnceLeavesNothing(t *testing.T) {
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	cfg := b.cfg
	cfg.Once = true
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := newLoop(c)
	if err := l.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if l.side.w.fs != nil {
		t.Error("the watch is open")
	}
}

// TestOnceReports: a courier that runs once delivers the reports that it made
// itself, though no event has told of them yet.
func TestOnceReports(t *testing.T) {
	b, a := newReporter(t)
	b.send("x\n", "a@example.com", "bad@x.test")
	b.cfg.Once = true
	c, err := New(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := newLoop(c)
	if l.side.w.fs, err = fsnotify.NewWatcher(); err != nil { // it watches nothing
		t.Fatal(err)
	}
	l.side.w.dir = c.spool.Path(spoolfmt.New)
	if err := l.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(a.reports) != 1 || !b.empty() {
		t.Errorf("%d reports, left %v %v", len(a.reports), b.names("new"), b.names("cur"))
	}
}

// TestOnceMoved: a courier that runs once ends when its spool goes away.
func TestOnceMoved(t *testing.T) {
	b := newBench(t, nil)
	b.cfg.MaxChildren = 1
	b.cfg.Agent = agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		if b.exists("new") {
			if err := os.Rename(b.path("new"), b.path("away")); err != nil {
				t.Error(err)
			}
			b.eventually("the loop sees that new moved", func() bool { return b.log.count("msg=spool-moved") == 1 })
		}
		return job.Same(agent.Result{Outcome: agent.Delivered}), nil
	})
	for range 100 {
		b.message("x\n")
	}
	cfg := b.cfg
	cfg.Once = true
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Run(ctx); !errors.Is(err, ErrUndelivered) || ctx.Err() != nil {
		t.Errorf("%v; %v", err, ctx.Err())
	}
	if err := os.Rename(b.path("away"), b.path("new")); err != nil {
		t.Fatal(err)
	}
}

// TestOnceLone: a courier that runs once does not wait for the content of an envelope that
// is alone, and says which it is.
func TestOnceLone(t *testing.T) {
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.put("new/m.envelope", "Spool-Format: 1\nSender: <a@example.com>\nRecipient: <b@example.org>\nSize: 2\n\n")
	b.message("x\n")
	begin := time.Now()
	err := b.once()
	if !errors.Is(err, ErrUndelivered) || !errors.Is(err, spoolfmt.ErrAlone) || !strings.Contains(err.Error(), "m.envelope") {
		t.Errorf("%v, want one that names the envelope", err)
	}
	if took := time.Since(begin); took > spoolfmt.LookAgain/2 {
		t.Errorf("took %v", took)
	}
	if left := append(b.names("new"), b.names("cur")...); len(left) != 1 || left[0] != "m.envelope" {
		t.Errorf("left %q", left)
	}
}
