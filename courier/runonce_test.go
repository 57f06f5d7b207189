package courier

import (
	"testing"

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
