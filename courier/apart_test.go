package courier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"smap/courier/agent"
)

// lock commits a message whose feeder keeps its lock, and returns the lock.
func (b *bench) lock(id string) *os.File {
	b.t.Helper()
	b.put("tmp/"+id, "x\n")
	f, err := os.Open(b.path("tmp/" + id))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { f.Close() })
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		b.t.Fatal(err)
	}
	if err := os.Rename(b.path("tmp/"+id), b.path("new/"+id+".eml")); err != nil {
		b.t.Fatal(err)
	}
	b.put("tmp/"+id+".e", "Spool-Format: 1\nSender: <a@example.com>\nRecipient: <b@example.org>\nSize: 2\n\n")
	if err := os.Rename(b.path("tmp/"+id+".e"), b.path("new/"+id+".envelope")); err != nil {
		b.t.Fatal(err)
	}
	return f
}

// unreachedOnce is an agent that cannot be reached the first time it is called for
// a@x.test. For b@x.test it is slow.
func unreachedOnce(slow time.Duration) agentFunc {
	var met atomic.Bool
	return func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		switch job.Recipients[0].Address {
		case "a@x.test":
			if met.CompareAndSwap(false, true) {
				return nil, &agent.StartError{Agent: "test", Err: errors.New("421 too many connections")}
			}
		case "b@x.test":
			time.Sleep(slow)
		}
		return job.Same(agent.Result{Outcome: agent.Delivered}), nil
	}
}

// TestTroubleNotForgotten: a message that met trouble is tried again although other
// mail went through meanwhile.
func TestTroubleNotForgotten(t *testing.T) {
	t.Parallel()
	for _, once := range []bool{true, false} {
		b := newBench(t, unreachedOnce(100*time.Millisecond))
		b.message("x\n", "b@x.test")
		b.message("y\n", "a@x.test")
		if !once {
			b.run()
			b.eventually("a is delivered", func() bool { return b.log.count("to=<a@x.test>") == 1 })
			continue
		}
		if err := b.once(); err != nil || !b.empty() {
			t.Errorf("once: %v, left %v", err, b.names("cur"))
		}
	}
}

// TestOnceEnds: a courier that runs once ends although a feeder keeps its lock, and
// says that mail is left, and which.
func TestOnceEnds(t *testing.T) {
	t.Parallel()
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.lock("locked")
	b.message("x\n")
	cfg := b.cfg
	cfg.Once = true
	c, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := c.Run(ctx); !errors.Is(err, ErrUndelivered) || !strings.Contains(err.Error(), "locked.envelope") || ctx.Err() != nil {
		t.Errorf("Run returned %v; %v", err, ctx.Err())
	}
	if b.log.count("msg=finished") != 1 || b.log.count("msg=busy name=locked.envelope") != 1 {
		t.Error("log lines")
	}
}

// TestLockedCostNothing: a thousand contents that their feeders have locked hold up
// nobody, even with one delivery at a time.
func TestLockedCostNothing(t *testing.T) {
	for _, children := range []int{1, 2} {
		t.Run(fmt.Sprint(children), func(t *testing.T) {
			b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
			b.cfg.MaxChildren = children
			for i := range 1000 {
				b.lock(fmt.Sprintf("l%04d", i))
			}
			b.run()
			for range 20 {
				n := b.log.count("to=<good@x.test>")
				began := time.Now()
				b.message("fine\n", "good@x.test")
				b.eventually("delivered", func() bool { return b.log.count("to=<good@x.test>") > n })
				if took := time.Since(began); took > 2*time.Second {
					t.Errorf("the honest message took %v", took)
				}
			}
		})
	}
}

// TestUnlocked: a message that was locked at its event is delivered when its feeder
// lets go and touches the envelope; an hour's wait between looks would not do.
func TestUnlocked(t *testing.T) {
	t.Parallel()
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.run()
	f := b.lock("m")
	if err := b.c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(b.path("new/m.envelope"), 0o640); err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	b.eventually("delivered", b.empty)
}

// TestRetryAtOnce: whoever made deferred mail due touches new, and it is tried at
// once, not at the next rescan.
func TestRetryAtOnce(t *testing.T) {
	t.Parallel()
	var calls atomic.Int32
	b := newBench(t, agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		if calls.Add(1) == 1 {
			return job.Same(agent.Result{Text: "later"}), nil
		}
		return job.Same(agent.Result{Outcome: agent.Delivered}), nil
	}))
	b.cfg.Wakeup = time.Hour
	b.run()
	id := b.message("x\n")
	b.eventually("deferred", func() bool { return b.log.count("msg=deferred") == 1 })
	b.due(id)
	if err := os.Chtimes(b.path("new"), time.Now(), time.Now()); err != nil {
		t.Fatal(err)
	}
	b.eventually("delivered", b.empty)
}

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

// TestUnreachedExpires: delay reports and the end of the attempts depend on age
// alone, also while the agent cannot be reached, and before its gate is shut and
// after that.
func TestUnreachedExpires(t *testing.T) {
	t.Parallel()
	for _, messages := range []int{1, 5} {
		b, a := newReporter(t)
		b.cfg.BounceAgent = a
		b.cfg.Agent = agentFunc(func(context.Context, *agent.Job) ([]agent.Result, error) {
			return nil, &agent.StartError{Agent: "test", Err: errors.New("535 wrong password")}
		})
		b.cfg.Schedule.MaxAge, b.cfg.Wakeup = time.Second, 200*time.Millisecond
		for range messages {
			b.send("x\n", "a@example.com", "b@x.test")
		}
		b.run()
		b.eventually("expired", func() bool { return b.log.count("msg=expired") == messages && b.empty() })
		b.halt()
		if len(a.reports) != messages {
			t.Errorf("%d reports for %d messages", len(a.reports), messages)
		}
	}
}

// TestRequeued: the age of a message that an operator requeued begins anew.
func TestRequeued(t *testing.T) {
	b := newBench(t, all(agent.Result{Text: "later"}))
	id := b.message("x\n")
	env := b.envelope("new/" + id + ".envelope")
	now := time.Now()
	old := now.Add(-6 * 24 * time.Hour)
	if err := errors.Join(env.Set("Received-At", old.Format(time.RFC3339Nano)), env.Set("Requeued-At", now.Add(-time.Hour).UTC().Format(time.RFC3339))); err != nil {
		t.Fatal(err)
	}
	if age := now.Sub(arrival(b.feed, 1, id, env, now)); age < 59*time.Minute || age > 61*time.Minute {
		t.Errorf("age %v", age)
	}
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

// TestHintedScans: a feeder that touches new all the time makes one scan a second.
func TestHintedScans(t *testing.T) {
	l := idleLoop(t)
	now := time.Now()
	l.side.lastLook, l.side.nextScan = now, now.Add(time.Hour)
	for range 100 {
		l.hint(hintScan, "")
	}
	if l.d.intake.wanted() || l.side.nextScan != now.Add(hintedScan) {
		t.Errorf("wanted %v, the next scan in %v", l.d.intake.wanted(), l.side.nextScan.Sub(now))
	}
}

// TestLinkedCostNothing: contents with a second name delay nobody.
func TestLinkedCostNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.cfg.MaxChildren = 1
	head := "Spool-Format: 1\nSender: <a@example.com>\nRecipient: <b@example.org>\nSize: 2\n\n"
	for i := range 1000 {
		id := fmt.Sprintf("l%04d", i)
		b.put("new/"+id+".eml", "x\n")
		if err := os.Link(b.path("new/"+id+".eml"), b.path("x"+id)); err != nil {
			t.Fatal(err)
		}
		b.put("new/"+id+".envelope", head)
	}
	b.run()
	for range 5 {
		was := b.log.count("to=<good@x.test>")
		b.message("fine\n", "good@x.test")
		b.eventually("an honest message", func() bool { return b.log.count("to=<good@x.test>") > was })
	}
}
