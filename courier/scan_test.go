package courier

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt"
)

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
		if _, ok := q.next(now, true, true); !ok {
			break
		}
	}
	if !q.wantNew {
		t.Error("more events than there is room for, and no scan")
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
	if it, ok := q.next(now, true, true); !ok || it.name != "a.envelope" {
		t.Fatalf("first %v %v", it, ok)
	}
	if it, ok := q.next(now, true, true); ok {
		t.Fatalf("then %v", it)
	}
	scan()
	if it, ok := q.next(now, true, true); !ok || it.name != "b.envelope" {
		t.Errorf("after the scan that goes on: %v %v", it, ok)
	}
	q.wantScan()
	scan()
	if it, ok := q.next(now, true, true); !ok || it.name != "a.envelope" {
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
