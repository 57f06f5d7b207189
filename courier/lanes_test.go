package courier

import (
	"context"
	"errors"
	"io"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"smap/courier/agent"
)

// TestReportLane: a bounce-agent that hangs before it fails holds up reports only.
func TestReportLane(t *testing.T) {
	t.Parallel()
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.cfg.Bounce = true
	b.cfg.BounceAgent = agentFunc(func(ctx context.Context, _ *agent.Job) ([]agent.Result, error) {
		<-ctx.Done() // a host that answers nothing
		return nil, &agent.StartError{Agent: "bounce", Err: errors.New("i/o timeout")}
	})
	b.cfg.AgentTimeout = time.Minute
	for range 60 {
		if _, err := feedOwn(b.feed, "x@example.com", "failure y", func(w io.Writer) error { _, err := w.Write([]byte("x\n")); return err }); err != nil {
			t.Fatal(err)
		}
	}
	b.run()
	for range 20 {
		b.message("fine\n", "good@x.test")
	}
	b.eventually("other mail", func() bool { return b.log.count("to=<good@x.test>") == 20 })
}

// TestPaused: a lane without slots delivers nothing and holds up no other.
func TestPaused(t *testing.T) {
	t.Parallel()
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.lane("script", all(agent.Result{Outcome: agent.Delivered}), -1, "robot@")
	b.message("x\n", "robot@x.test")
	b.message("x\n", "good@x.test", "robot@x.test")
	if err := b.once(); !errors.Is(err, ErrUndelivered) || !strings.Contains(err.Error(), "script is paused") {
		t.Errorf("once: %v", err)
	}
	if b.log.count("to=<good@x.test>") != 1 || b.log.count("to=<robot@x.test>") != 0 {
		t.Error("log lines")
	}
	b.cfg.Lanes[0].MaxChildren = 1
	if err := b.once(); err != nil || !b.empty() || b.log.count("to=<robot@x.test>") != 2 {
		t.Errorf("not paused any more: %v, left %v", err, b.names("cur"))
	}
}

// lane adds a lane with routes to it.
func (b *bench) lane(name string, a agent.Agent, children int, patterns ...string) {
	b.t.Helper()
	b.cfg.Lanes = append(b.cfg.Lanes, Lane{Name: name, Agent: a, MaxChildren: children})
	r := Route{Lane: name}
	for _, s := range patterns {
		p, err := ParsePattern(s)
		if err != nil {
			b.t.Fatal(err)
		}
		r.Patterns = append(r.Patterns, p)
	}
	b.cfg.Routes = append(b.cfg.Routes, r)
}

// TestLanesTogether: a message with recipients in several lanes is delivered in all of
// them at the same time; a lane that hangs, or cannot be reached, holds up only its
// own recipients.
func TestLanesTogether(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.lane("slow", agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		<-release
		return job.Same(agent.Result{Outcome: agent.Delivered}), nil
	}), 1, "slow@")
	var up atomic.Bool
	b.lane("dead", agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		if !up.Load() {
			return nil, &agent.StartError{Agent: "dead", Err: errors.New("no route to host")}
		}
		return job.Same(agent.Result{Outcome: agent.Delivered}), nil
	}), 1, "dead@")
	b.lane("later", all(agent.Result{Text: "450 later"}), 1, "later@")
	b.run()
	for range 3 {
		b.message("x\n", "slow@x.test", "good@x.test", "dead@x.test", "later@x.test")
	}
	b.eventually("good ones", func() bool { return b.log.count("to=<good@x.test>") >= 1 })
	b.message("y\n", "good@x.test")
	b.eventually("another good one", func() bool { return b.log.count("to=<good@x.test>") >= 2 })
	close(release)
	b.eventually("slow ones", func() bool { return b.log.count("to=<slow@x.test>") == 3 && b.log.count("to=<good@x.test>") == 4 })
	b.eventually("deferred", func() bool { return b.log.count("msg=deferred") >= 3 })
	up.Store(true)
	b.eventually("dead ones", func() bool { return b.log.count("to=<dead@x.test>") == 3 })
	b.halt()
	for _, n := range b.names("cur") {
		if strings.HasSuffix(n, ".envelope") {
			if p := b.envelope("cur/" + n).Pending(); len(p) != 1 || p[0].Address != "later@x.test" {
				t.Errorf("%s: pending %v", n, p)
			}
		}
	}
	for _, to := range []string{"good", "slow", "dead"} {
		if n := b.log.count("msg=delivered") - 10; n != 0 {
			t.Errorf("%s: %d deliveries too many", to, n)
		}
	}
}

// TestReloadLanes: a reload that removes a lane loses nothing: what runs finishes, and
// the rest is routed again.
func TestReloadLanes(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var started atomic.Int32
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.lane("script", agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		started.Add(1)
		<-release
		return job.Same(agent.Result{Outcome: agent.Delivered, Text: "script"}), nil
	}), 1, "robot@")
	b.run()
	for range 5 {
		b.message("x\n", "robot@x.test")
	}
	b.eventually("one runs", func() bool { return started.Load() == 1 })
	cfg := b.cfg
	cfg.Lanes, cfg.Routes = nil, nil
	if err := b.c.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	b.eventually("the others", func() bool { return b.log.count("msg=finished") == 4 })
	close(release)
	b.eventually("all", b.empty)
	b.halt()
	if b.log.count("text=script") != 1 || b.log.count("msg=finished") != 5 {
		t.Error("log lines")
	}
}
