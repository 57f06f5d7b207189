package courier

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"smap/spoolfmt"
)

// TestLookout: it wakes the loop for any name in new or cur and for a spool that
// is another one now, and for nothing else.
func TestLookout(t *testing.T) {
	sp := idleLoop(t).home.spool
	o := &lookout{found: make(chan struct{}, 1)}
	wakes := func() bool {
		o.look()
		select {
		case <-o.found:
			return true
		default:
			return false
		}
	}
	if wakes() {
		t.Error("wakes though the loop itself looks")
	}
	o.post(sp)
	if wakes() {
		t.Error("wakes for an empty spool")
	}
	for _, b := range []spoolfmt.Box{spoolfmt.New, spoolfmt.Cur} {
		name := filepath.Join(sp.Path(b), "anything")
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if first, again := wakes(), wakes(); !first || !again {
			t.Errorf("does not wake for a name in %s", b)
		}
		if err := os.Remove(name); err != nil {
			t.Fatal(err)
		}
	}
	if wakes() {
		t.Error("wakes for an empty spool again")
	}
	if err := os.Rename(sp.Path(spoolfmt.New), sp.Path(spoolfmt.New)+".old"); err != nil {
		t.Fatal(err)
	}
	if !wakes() {
		t.Error("does not wake for a spool that was moved")
	}
	o.post(nil)
	if wakes() {
		t.Error("looks at what was taken from it")
	}
}

// TestPostLookout: the loop leaves its rescans to the lookout only when they
// would find nothing and do nothing.
func TestPostLookout(t *testing.T) {
	l := idleLoop(t)
	l.lookout = &lookout{found: make(chan struct{}, 1)}
	l.watchAndScan(time.Now())
	l.small = true
	l.startScan(time.Now())
	posted := func() bool {
		l.postLookout()
		if (l.posted != nil) != (l.lookout.spool != nil) {
			t.Error("the loop and the lookout disagree")
		}
		return l.posted != nil
	}
	if watchLimit == 0 && !posted() {
		t.Fatal("an empty spool that is watched is left to nobody")
	}
	for what, change := range map[string]func(bool){
		"a name in new":     func(on bool) { l.empty[spoolfmt.New] = !on },
		"a name in cur":     func(on bool) { l.empty[spoolfmt.Cur] = !on },
		"a scan that runs":  func(on bool) { l.scanning = on },
		"a scan to come":    func(on bool) { l.scanNew = on },
		"a spool that went": func(on bool) { l.home.moved = on },
		"metrics":           func(on bool) { l.cfg.Metrics = map[bool]string{true: "file"}[on] },
	} {
		change(true)
		if posted() {
			t.Errorf("left to the lookout with %s", what)
		}
		change(false)
		if watchLimit == 0 && !posted() {
			t.Errorf("not left to the lookout after %s", what)
		}
	}
	l.w.close()
	if posted() {
		t.Error("left to the lookout without a watch, which rescans try to get back")
	}
}

// TestLookoutFinds: what no event tells of is found by the lookout, at the pace
// of the rules in use.
func TestLookoutFinds(t *testing.T) {
	b := newBench(t, all(Result{Outcome: Delivered}))
	b.cfg.Wakeup = time.Hour
	b.run()
	cfg := b.cfg
	cfg.Wakeup = 50 * time.Millisecond
	if err := b.c.Reload(cfg); err != nil {
		t.Fatal(err)
	}
	b.eventually("reload", func() bool { return b.log.count("msg=reload") == 1 })
	// No event comes from cur.
	name := filepath.Join(b.dir, "cur", "odd")
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	b.eventually("found", func() bool { return b.log.count("msg=ignored") == 1 })
}

// TestOnceUnread: who could not read a box cannot say that all is delivered.
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
