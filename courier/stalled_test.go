package courier

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt"
)

// A stalledDisk keeps system calls of a spool waiting until it goes on.
type stalledDisk struct {
	stalls func(call, name string) bool
	goOn   chan struct{}
	works  atomic.Bool // it does not stall yet

	mu    sync.Mutex
	first error // of the first call that would stall
	waits int
}

// newStalledDisk stalls the spool of a courier that does not run yet. Package spoolfmt keeps
// its system calls in a field for its own tests; no other package can replace them.
func newStalledDisk(sp *spoolfmt.Spool, stalls func(call, name string) bool, first error) *stalledDisk {
	s := &stalledDisk{stalls: stalls, goOn: make(chan struct{}), first: first}
	calls := reflect.ValueOf(sp).Elem().FieldByName("sys")
	for i := range calls.NumField() {
		name, typ := calls.Type().Field(i).Name, calls.Field(i).Type()
		f := reflect.NewAt(typ, calls.Field(i).Addr().UnsafePointer()).Elem()
		system := reflect.ValueOf(f.Interface())
		f.Set(reflect.MakeFunc(typ, func(args []reflect.Value) []reflect.Value {
			if err := s.call(name, args); err != nil {
				return []reflect.Value{reflect.ValueOf(&err).Elem()}
			}
			return system.Call(args)
		}))
	}
	return s
}

func (s *stalledDisk) call(call string, args []reflect.Value) error {
	name := ""
	if len(args) > 1 && args[1].Kind() == reflect.String {
		name = args[1].String()
	}
	if s.works.Load() || !s.stalls(call, name) {
		return nil
	}
	s.mu.Lock()
	err := s.first
	s.first = nil
	if err == nil {
		s.waits++
	}
	s.mu.Unlock()
	if err == nil {
		<-s.goOn
	}
	return err
}

func (s *stalledDisk) stalled() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.waits > 0
}

// TestStalledDisk: while the disk does not answer, the loop does, so that no watchdog ends
// smapd in the middle of deliveries; other mail goes on, and so does a stop.
func TestStalledDisk(t *testing.T) {
	t.Parallel()
	sync := func(call, _ string) bool { return call == "fsync" || call == "syncfs" }
	scan := func(call, name string) bool { return call == "open" && name == "." }
	send := func(to ...string) func(*bench, *loop, *stalledDisk) {
		return func(b *bench, _ *loop, _ *stalledDisk) { b.message("x\n", to...) }
	}
	logs := func(line string) func(*bench) bool { return func(b *bench) bool { return b.log.count(line) == 1 } }
	for _, c := range []struct {
		name   string
		stalls func(call, name string) bool
		first  error // of the first call, which does not stall
		start  func(*bench, *loop, *stalledDisk)
		end    func(*bench) bool // what comes when the disk goes on
	}{
		{"digest", sync, nil, func(_ *bench, l *loop, _ *stalledDisk) {
			l.chores.digest.add(time.Now().Add(-time.Hour), "x", "a reason")
		}, logs("to=<admin@x.test>")},
		{"report", sync, nil, send("bad@x.test"), logs("to=<a@example.com>")},
		{"record", sync, nil, send("wait@x.test", "good@x.test"), logs("msg=deferred")},
		{"held record", sync, syscall.EIO, send("wait@x.test", "good@x.test"), logs("msg=deferred")},
		{"scan", scan, nil, send("good@x.test"), logs("to=<good@x.test>")},
		{"rescan", scan, nil, func(b *bench, l *loop, disk *stalledDisk) {
			disk.works.Store(true)
			b.message("x\n", "good@x.test")
			go func() { // a small box was read in the loop when the scan before was short
				for b.log.count("to=<good@x.test>") == 0 {
					time.Sleep(time.Millisecond)
				}
				disk.works.Store(false)
				l.c.Rescan()
			}()
		}, (*bench).empty},
		{"flush", sync, nil, send("good@x.test"), (*bench).empty},
	} {
		for _, stop := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, stop %v", c.name, stop), func(t *testing.T) {
				t.Parallel()
				b := newBench(t, agentFunc(byName))
				b.cfg.BadAdmin, b.cfg.Bounce = "admin@x.test", true
				co, err := New(b.cfg)
				if err != nil {
					t.Fatal(err)
				}
				disk := newStalledDisk(co.spool, c.stalls, c.first)
				l := newLoop(co)
				c.start(b, l, disk)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				done := make(chan error, 1)
				go func() { done <- l.run(ctx) }()
				ping := func(when string) {
					t.Helper()
					ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
					defer cancel()
					if err := co.Ping(ctx); err != nil {
						t.Errorf("%s: the loop does not answer", when)
					}
				}
				b.eventually("it stalls", disk.stalled)
				ping("stalled")
				b.message("y\n", "other@x.test")
				b.eventually("another message", func() bool { return b.log.count("to=<other@x.test>") == 1 })
				ping("after another message")
				if stop {
					cancel()
					b.eventually("it stops", func() bool { return b.log.count("msg=stop ") == 1 })
					ping("stopping")
				}
				close(disk.goOn)
				if !stop {
					b.eventually("the end", func() bool { return c.end(b) })
					cancel()
				}
				if err := <-done; err != nil {
					t.Error(err)
				}
				if n := b.log.count("to=<good@x.test>"); n > 1 {
					t.Errorf("delivered %d times", n)
				}
			})
		}
	}
}

// TestStalledClose: a disk that stalls only after a message has finished stalls the last
// flush. The loop answers meanwhile.
func TestStalledClose(t *testing.T) {
	t.Parallel()
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.cfg.Metrics = filepath.Join(t.TempDir(), "metrics")
	id := b.message("x\n")
	co, err := New(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	disk := newStalledDisk(co.spool, func(call, _ string) bool { return call == "fsync" || call == "syncfs" }, nil)
	disk.works.Store(true)
	claim, err := co.spool.Claim(id)
	if err != nil {
		t.Fatal(err)
	}
	if err := claim.Finish(); err != nil {
		t.Fatal(err)
	}
	disk.works.Store(false)
	l := newLoop(co)
	done := make(chan error, 1)
	go func() { done <- l.stop() }()
	b.eventually("it stalls", disk.stalled)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := co.Ping(ctx); err != nil {
		t.Error("the loop does not answer")
	}
	close(disk.goOn)
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !b.empty() {
		t.Error("not flushed")
	}
	if _, err := os.Stat(b.cfg.Metrics); err != nil {
		t.Error(err)
	}
}

// byName is an agent that does what a recipient's name says.
func byName(_ context.Context, job *agent.Job) ([]agent.Result, error) {
	var results []agent.Result
	for _, to := range job.Recipients {
		r := agent.Result{Outcome: agent.Delivered}
		switch to.Address {
		case "bad@x.test":
			r = agent.Result{Outcome: agent.Failed, Text: "550 no"}
		case "wait@x.test":
			r = agent.Result{Text: "450 later"}
		}
		results = append(results, r)
	}
	return results, nil
}
