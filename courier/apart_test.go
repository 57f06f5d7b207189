package courier

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

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
	content, err := b.feed.Stat(spoolfmt.New, id+".eml")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	old := now.Add(-6 * 24 * time.Hour)
	if err := errors.Join(env.Set("Received-At", old.Format(time.RFC3339Nano)), env.Set("Requeued-At", now.Add(-time.Hour).UTC().Format(time.RFC3339))); err != nil {
		t.Fatal(err)
	}
	if age := now.Sub(arrival(content, env, now)); age < 59*time.Minute || age > 61*time.Minute {
		t.Errorf("age %v", age)
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

// TestClientsApart: messages that hang for their client leave slots for others, although
// they are for different domains: its address is read from the envelope.
func TestClientsApart(t *testing.T) {
	t.Parallel()
	var got tally
	var hanging atomic.Int32
	release := make(chan struct{})
	b := newBench(t, keyed{func(ctx context.Context, job *agent.Job) ([]agent.Result, error) {
		if job.Envelope.Get("Client-Address") == "192.0.2.66" {
			hanging.Add(1)
			select {
			case <-release:
			case <-ctx.Done():
			}
		}
		return got.Deliver(ctx, job)
	}})
	b.cfg.MaxChildren = 4
	const messages = 20
	feed := func(n int, client string) {
		env, err := envelope.New(envelope.Path{Address: "a@example.com"}, []envelope.Path{{Address: fmt.Sprintf("b@d%d.test", n)}})
		if err != nil {
			t.Fatal(err)
		}
		if err := env.Set("Client-Address", client); err != nil {
			t.Fatal(err)
		}
		b.commit(env, fmt.Sprintf("%d of %s\n", n, client))
	}
	for n := range messages {
		feed(n, "192.0.2.66")
	}
	b.run()
	b.eventually("they hang", func() bool { return hanging.Load() == 3 })
	feed(0, "192.0.2.1")
	b.eventually("another client's message", func() bool { return got.len() == 1 })
	if n := hanging.Load(); n != 3 {
		t.Errorf("%d of 4 slots are one client's", n)
	}
	close(release)
	b.eventually("all", func() bool { return got.len() == messages+1 })
}
