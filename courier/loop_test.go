package courier

import (
	"errors"

	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"smap/courier/agent"
	"smap/spoolfmt"
)

// TestWatcher: one line when events are lost, however often they are tried for,
// and one when they come back.
func TestWatcher(t *testing.T) {
	log := &logged{}
	dir := filepath.Join(t.TempDir(), "new")
	w := watcher{ev: events{slog.New(slog.NewTextHandler(log, nil))}}
	for range 3 {
		if w.open(dir, 0) {
			t.Fatal("watches a directory that is not there")
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if !w.open(dir, 0) || w.open(dir, 0) {
		t.Error("a watch is new once")
	}
	if log.count("msg=watch-lost") != 1 || log.count("msg=watch-back") != 1 {
		t.Error(log)
	}
	w.close()
	if w.events() != nil || w.errors() != nil {
		t.Error("closed, and still there")
	}
}

func TestHints(t *testing.T) {
	w := watcher{dir: "/spool/new"}
	for _, c := range []struct {
		name string
		op   fsnotify.Op
		want hint
	}{
		{"/spool/new/a.envelope", fsnotify.Create, hintName},
		{"/spool/new/a.mail", fsnotify.Create | fsnotify.Chmod, hintName},
		{"/spool/new/a.envelope", fsnotify.Chmod, hintName},
		{"/spool/new/a.eml", fsnotify.Create, hintNothing},
		{"/spool/new/a.eml", fsnotify.Chmod, hintNothing},
		{"/spool/new/a.envelope", fsnotify.Rename, hintNothing},
		{"/spool/new/a.envelope", fsnotify.Write, hintNothing},
		{"/spool/new/a.envelope", fsnotify.Chmod, hintName}, // its feeder has let go
		{"/spool/new/a.eml", fsnotify.Chmod, hintNothing},
		{"/spool/new/-.envelope", fsnotify.Create, hintNothing},
		{"/spool/new", fsnotify.Chmod, hintScan},
		{"/spool/new", fsnotify.Remove, hintMoved},
		{"/spool/new", fsnotify.Rename, hintMoved},
	} {
		if got, _ := w.read(fsnotify.Event{Name: c.name, Op: c.op}, true); got != c.want {
			t.Errorf("%s %v: %d, want %d", c.name, c.op, got, c.want)
		}
	}
	if got, _ := w.read(fsnotify.Event{}, false); got != hintBroken {
		t.Error("a closed channel")
	}
	for err, want := range map[error]hint{fsnotify.ErrEventOverflow: hintScan, os.ErrClosed: hintBroken} {
		if got := w.readError(err, true); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
	if w.readError(nil, false) != hintBroken {
		t.Error("a closed channel")
	}
}

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

// TestCameDuringScan: a long scan replaces what is known, and may have passed by
// what came meanwhile.
func TestCameDuringScan(t *testing.T) {
	now := time.Now()
	q := intake{scanning: true}
	q.add(item{at: now.UnixNano(), name: "n.envelope"})
	q.add(item{at: now.UnixNano(), name: "c.envelope", cur: true})
	q.take(queue{}, false)
	q.take(queue{}, true)
	q.scanned()
	if len(q.events.items) != 1 || len(q.due.items) != 1 || q.scanning || q.missed != nil {
		t.Errorf("events %v, cur %v", q.events.items, q.due.items)
	}
	// More than is remembered: another scan.
	q.scanning = true
	for range queueLimit + 1 {
		q.add(item{at: now.UnixNano(), name: "c.envelope", cur: true})
	}
	q.take(queue{}, true)
	q.scanned()
	if !q.wantNew || !q.wantCur {
		t.Error("no other scan")
	}
	q = intake{}
	for range queueLimit + 1 {
		q.add(item{at: now.UnixNano(), name: "n.envelope"})
	}
	for {
		if _, ok := q.next(now); !ok {
			break
		}
	}
	if !q.wantNew {
		t.Error("more events than there is room for, and no scan")
	}
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

// TestUnseen: a message that a scan cannot look at is trouble, and left, not
// gone; the others are taken in.
func TestUnseen(t *testing.T) {
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	id := b.message("x\n")
	c, err := New(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := newLoop(c)
	look := func(names ...string) scanned {
		s := scanned{box: spoolfmt.New, names: len(names)}
		for _, name := range names {
			s.message(l.cfg, b.feed, name, time.Now())
		}
		s.queue.seal()
		return s
	}
	tooLong := strings.Repeat("x", 300) + ".envelope" // the file system's error, and not that it is gone
	for _, step := range []struct {
		names         []string
		unread        bool
		lines, queued int
	}{
		{[]string{"gone.envelope", id + ".envelope"}, false, 0, 1},
		{[]string{tooLong, id + ".envelope"}, true, 1, 1},
		{[]string{id + ".envelope", tooLong}, true, 1, 1}, // said once
		{[]string{id + ".envelope"}, false, 1, 1},
		{[]string{tooLong}, true, 2, 0},
	} {
		l.takeScan(look(step.names...), time.Now())
		if l.side.unread[spoolfmt.New] != step.unread || b.log.count("msg=trouble") != step.lines || len(l.d.intake.fresh.items) != step.queued {
			t.Errorf("%.40q: unread %v, %d lines, %d queued; want %+v", step.names, l.side.unread[spoolfmt.New], b.log.count("msg=trouble"), len(l.d.intake.fresh.items), step)
		}
	}
}

// TestMetTwice: a name that both an event and a scan of new/ told of is tried
// once, though it is in cur/ by then.
func TestMetTwice(t *testing.T) {
	calls := 0
	b := newBench(t, agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		calls++
		return job.Same(agent.Result{Text: "later"}), nil
	}))
	cfg, err := b.cfg.complete()
	if err != nil {
		t.Fatal(err)
	}
	id := b.message("x\n")
	for _, want := range []verdict{verdictDeferred, verdictLater} {
		if r := cfg.delivery(b.feed, id+".envelope").run(t.Context()); r.verdict != want || calls != 1 {
			t.Fatalf("verdict %d, %d calls", r.verdict, calls)
		}
	}
}

// TestDeferredGoOn: deferred mail that is more than one scan keeps goes on after
// the last that was taken. Else so many messages that stay locked, whose feeder
// keeps their contents open, would be in the way of all others.
func TestDeferredGoOn(t *testing.T) {
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	now := time.Now()
	for i, name := range []string{"a", "b", "c"} {
		b.put("cur/"+name+".envelope", "")
		at := now.Add(time.Duration(i-10) * time.Second)
		if err := os.Chtimes(b.path("cur/"+name+".envelope"), at, at); err != nil {
			t.Fatal(err)
		}
	}
	cfg, err := b.cfg.complete()
	if err != nil {
		t.Fatal(err)
	}
	q := intake{}
	scan := func() {
		s := newScanner().scan(t.Context(), &cfg, b.feed, spoolfmt.Cur, q.fromCur, now)
		q.wantNew, q.wantCur = false, false
		q.take(s.queue, true)
	}
	q.wantScan()
	scan()
	q.due.items, q.due.more = q.due.items[:1], true // as if more were too many
	q.useful = true                                 // a lane took it
	if it, ok := q.next(now); !ok || it.name != "a.envelope" {
		t.Fatalf("first %v %v", it, ok)
	}
	if it, ok := q.next(now); ok {
		t.Fatalf("then %v", it)
	}
	scan()
	if it, ok := q.next(now); !ok || it.name != "b.envelope" {
		t.Errorf("after the scan that goes on: %v %v", it, ok)
	}
	q.wantScan()
	scan()
	if it, ok := q.next(now); !ok || it.name != "a.envelope" {
		t.Errorf("after a rescan: %v %v", it, ok)
	}
}

// TestRescanFinds: a rescan finds what no event tells of, at the pace of the rules
// in use.
func TestRescanFinds(t *testing.T) {
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.cfg.Wakeup = time.Hour
	b.run()
	cfg := b.cfg
	cfg.Wakeup = 50 * time.Millisecond
	if err := b.c.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	b.eventually("reload", func() bool { return b.log.count("msg=reload") == 1 })
	// No event comes from cur.
	if err := os.WriteFile(filepath.Join(b.dir, "cur", "odd"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.eventually("found", func() bool { return b.log.count("msg=ignored") == 1 })
}

// TestOnceUnread: a courier that could not read a box does not report that all is
// delivered.
func TestOnceUnread(t *testing.T) {
	for _, again := range []bool{false, true} {
		l := idleLoop(t)
		l.cfg.Once = true
		l.takeScan(scanned{box: spoolfmt.New, err: errors.New("input/output error")}, time.Now())
		if again {
			l.takeScan(scanned{box: spoolfmt.New}, time.Now())
		}
		if err := l.finish(); errors.Is(err, ErrUndelivered) == again {
			t.Errorf("%v; read the second time: %v", err, again)
		}
	}
}

// TestNewMailFirst: the loop hears of new mail before the backlog was looked at.
func TestNewMailFirst(t *testing.T) {
	t.Parallel()
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.message("x\n")
	c, err := New(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.spool.Close()
	l := newLoop(c)
	defer l.side.w.close()
	l.rescan()
	l.look(time.Now())
	then := <-l.inbox
	then(time.Now())
	if !l.d.intake.scanning || l.d.intake.fresh.empty() {
		t.Error("new mail waited for the scan of cur")
	}
	for l.out > 0 {
		then = <-l.inbox
		then(time.Now())
	}
}

// TestOnceWaitsForFlush: a message that is locked may be one that was just finished:
// a slow disk is no reason to report that it cannot be delivered.
func TestOnceWaitsForFlush(t *testing.T) {
	t.Parallel()
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.cfg.Once = true
	c, err := New(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer c.spool.Close()
	l := newLoop(c)
	now := time.Now()
	it := item{name: "m.envelope", cur: true}
	l.d.looks.put(it, 0, now)
	l.d.looks.put(it, 0, now.Add(2*onceGrace))
	if !l.drained(now) {
		t.Error("waits for ever for a message that somebody else has locked")
	}
	l.chores.wantFlush(now)
	if l.drained(now) {
		t.Error("does not wait for the flush")
	}
	l.upkeep(l.chores.nextFlush)
	for l.out > 0 {
		then := <-l.inbox
		then(now)
	}
	if l.drained(now) {
		t.Error("does not look once more after the flush")
	}
	l.side.w.close()
}

// TestFlushFails: while finished messages cannot be flushed, no more are delivered, for
// each keeps descriptors open.
func TestFlushFails(t *testing.T) {
	l := idleLoop(t)
	now := time.Now()
	l.choreEnded("flush", errors.New("fsync: input/output error"), now)
	if !l.d.spool.shut || l.chores.nextFlush.IsZero() {
		t.Error("deliveries go on, or the flush is not tried again")
	}
	l.choreEnded("flush", nil, now)
	l.ended(result{verdict: verdictFinished}, now)
	if l.d.spool.shut {
		t.Error("does not go on")
	}
}
