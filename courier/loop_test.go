package courier

import (
	"context"
	"log/slog"
	"runtime"
	"sync"
	"testing"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt"
)

// idleLoop is a loop that does nothing by itself.
func idleLoop(t *testing.T) *loop {
	t.Helper()
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	c, err := New(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.spool.Close() })
	return newLoop(c)
}

// TestWake: deferred mail that is due long after the next rescan, or long ago,
// changes nothing about the rescan.
func TestWake(t *testing.T) {
	l := idleLoop(t)
	now := time.Now()
	l.side.nextScan = now.Add(time.Minute)
	l.chores.nextSweep, l.chores.nextAging = now.Add(time.Hour), now.Add(time.Hour)
	for at, want := range map[time.Duration]time.Duration{
		24 * time.Hour: time.Minute, time.Second: time.Second, -time.Second: -time.Second,
	} {
		l.d.intake.due = queue{items: []item{{at: now.Add(at).UnixNano(), name: "x.envelope", cur: true}}}
		if got := l.wake(now); got != want {
			t.Errorf("due in %v: sleeps %v, want %v", at, got, want)
		}
	}
	l.d.intake.due = queue{}
	l.d.looks.put(item{name: "y.envelope"}, 3*time.Second, now)
	if got := l.wake(now); got != 3*time.Second {
		t.Errorf("sleeps %v", got)
	}
	if _, ok := l.d.looks.next(now.Add(2 * time.Second)); ok {
		t.Error("looks too early")
	}
	if it, ok := l.d.looks.next(now.Add(3 * time.Second)); !ok || it.name != "y.envelope" {
		t.Error("does not look")
	}
}

// stuck is a log that blocks.
type stuck struct {
	mu sync.Mutex
}

func (s *stuck) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(p), nil
}

// TestPing: the answer depends on the loop, not on the process.
func TestPing(t *testing.T) {
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	log := &stuck{}
	b.cfg.Log = slog.New(slog.NewTextHandler(log, nil))
	b.run()
	if err := b.c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
	log.mu.Lock() // the loop stops at its next line
	b.message("x\n")
	if err := b.c.Reload(b.cfg); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(20 * time.Second)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		err := b.c.Ping(ctx)
		cancel()
		if err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a loop that stands still answers")
		}
	}
	log.mu.Unlock()
	if err := b.c.Ping(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestReload: another agent from now on, the same spool for ever.
func TestReload(t *testing.T) {
	b := newBench(t, all(agent.Result{Text: "the first"}))
	b.run()
	id := b.message("x\n")
	b.eventually("deferred", func() bool { return b.log.count("msg=deferred") == 1 })
	cfg := b.cfg
	cfg.Dir = t.TempDir()
	if err := b.c.Reload(cfg); err == nil {
		t.Error("another spool")
	}
	cfg = b.cfg
	cfg.Agent = all(agent.Result{Outcome: agent.Delivered})
	if err := b.c.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	b.eventually("reloaded", func() bool { return b.log.count("msg=reload ") == 1 })
	b.due(id)
	b.c.Rescan()
	b.eventually("delivered", b.empty)
}

// TestBusyOnce: a lock that somebody holds for long is logged once, and again only
// when it was free in between.
func TestBusyOnce(t *testing.T) {
	l := idleLoop(t)
	log := &logged{}
	l.ev = events{slog.New(slog.NewTextHandler(log, nil))}
	now := time.Now()
	it := item{name: "x.envelope"}
	busy := func(at time.Time) {
		l.place(result{item: it, start: start{item: it}, verdict: verdictBusy, err: spoolfmt.ErrBusy}, at)
	}
	for i := range 10 {
		busy(now.Add(time.Duration(i) * 20 * time.Second))
	}
	if n := log.count("msg=busy name=x.envelope for=1m20s"); n != 1 || log.count("msg=busy") != 1 {
		t.Error(log)
	}
	l.d.looks.drop(it.name)
	for i := range 10 {
		busy(now.Add(time.Hour + time.Duration(i)*20*time.Second))
	}
	if log.count("msg=busy") != 2 {
		t.Error(log)
	}
}

// TestBesideForgets: a goroutine that waits for work does not keep what it did last.
func TestBesideForgets(t *testing.T) {
	l := idleLoop(t)
	freed := make(chan bool)
	func() {
		message := new([1 << 20]byte)
		runtime.AddCleanup(message, func(ended chan bool) { close(ended) }, freed)
		l.beside(func() func(time.Time) {
			message[0]++
			return func(time.Time) {}
		})
	}()
	(<-l.inbox)(time.Now())
	for range 50 {
		runtime.GC()
		select {
		case <-freed:
			return
		case <-time.After(10 * time.Millisecond):
		}
	}
	t.Error("it is kept")
}
