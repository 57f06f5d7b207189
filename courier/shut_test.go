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
	"smap/spoolfmt/envelope"
)

// TestShutFile: while an agent cannot be reached, a file says so, and for which mail. It goes
// when the agent is back, and at the end.
func TestShutFile(t *testing.T) {
	t.Parallel()
	var back atomic.Bool
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	script, err := ParsePattern("robot@example.com")
	if err != nil {
		t.Fatal(err)
	}
	b.cfg.Shut = ShutFile(b.dir)
	b.cfg.Lanes = []Lane{{Name: "script", Agent: agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		if back.Load() {
			return job.Same(agent.Result{Outcome: agent.Delivered}), nil
		}
		return nil, &agent.StartError{Agent: "test", Err: errors.New("no route to host")}
	})}}
	b.cfg.Routes = []Route{{Lane: "script", Patterns: []Pattern{script}}}
	if err := os.WriteFile(b.cfg.Shut, []byte("of a courier that was killed"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 20 {
		b.message("x\n", "robot@example.com")
	}
	b.run()
	var shut *Shut
	b.eventually("the lane is shut", func() bool {
		shut, err = ReadShut(b.dir)
		return err == nil && shut != nil
	})
	for to, want := range map[string]string{"robot@example.com": "test: no route to host", "Robot@Example.COM": "test: no route to host", "ann@example.com": ""} {
		env, err := envelope.New(envelope.Path{Address: "a@example.com"}, []envelope.Path{{Address: to}})
		if err != nil {
			t.Fatal(err)
		}
		if got := shut.Why(env); got != want {
			t.Errorf("%s waits because of %q, want %q", to, got, want)
		}
	}
	back.Store(true)
	b.eventually("delivered", b.empty)
	b.eventually("the file is gone", func() bool { return !b.exists("smapd-shut.json") })
	b.halt()
	shut = nil
	if got := shut.Why(nil); got != "" {
		t.Errorf("no lane is shut, and mail waits because of %q", got)
	}
}

// TestShutOnce: a courier that runs once leaves the file of another one alone. What a courier
// left that was killed goes when the next one starts.
func TestShutOnce(t *testing.T) {
	t.Parallel()
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.cfg.Shut = ShutFile(b.dir)
	b.put("smapd-shut.json", "{}")
	b.message("x\n")
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	if !b.empty() || !b.exists("smapd-shut.json") {
		t.Errorf("new %v, cur %v, or the file is gone", b.names("new"), b.names("cur"))
	}
	b.run()
	b.eventually("the file is gone", func() bool { return !b.exists("smapd-shut.json") })
}

// TestShutReports: reports wait for a lane of their own where there is one.
func TestShutReports(t *testing.T) {
	s := &Shut{Lanes: []ShutLane{{Name: reportLane, Why: "down"}}, Reports: true}
	for kind, want := range map[string]string{"failure x": "down", "": ""} {
		env, err := envelope.New(envelope.Path{}, []envelope.Path{{Address: "a@example.com"}})
		if err != nil {
			t.Fatal(err)
		}
		if kind != "" {
			if err := env.Set(fieldReport, kind); err != nil {
				t.Fatal(err)
			}
		}
		if got := s.Why(env); got != want {
			t.Errorf("report %q: %q", kind, got)
		}
	}
}

// TestShutCosts: the patterns of the routes are parsed once for all mail, and copied only
// when the file is written.
func TestShutCosts(t *testing.T) {
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	route := Route{Lane: "script"}
	for i := range 1000 {
		p, err := ParsePattern(fmt.Sprintf("User%d@Example.com", i))
		if err != nil {
			t.Fatal(err)
		}
		route.Patterns = append(route.Patterns, p)
	}
	b.cfg.Shut = ShutFile(b.dir)
	b.cfg.Lanes = []Lane{{Name: "script", Agent: b.cfg.Agent}}
	b.cfg.Routes = []Route{route}
	c, err := New(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	l := newLoop(c)
	g := &l.d.lane("script").gate
	g.shut, g.why, g.since = true, errors.New("down"), time.Now()
	write := func() {
		t.Helper()
		l.writeShut()
		if l.out != 1 {
			t.Fatal("it does not write")
		}
		(<-l.inbox)(time.Now())
	}
	write()
	if n := testing.AllocsPerRun(10, l.writeShut); n > 20 || l.out != 0 {
		t.Errorf("%v allocations where nothing changed", n)
	}
	s, err := ReadShut(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	env, err := envelope.New(envelope.Path{}, []envelope.Path{{Address: "ann@example.com"}, {Address: "user999@example.com"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := s.Why(env); got != "down" {
		t.Errorf("it waits because of %q", got)
	}
	if n := testing.AllocsPerRun(10, func() { s.Why(env) }); n > 20 {
		t.Errorf("%v allocations for a message", n)
	}
	many := []envelope.Path{}
	for i := range maxWhy {
		many = append(many, envelope.Path{Address: fmt.Sprintf("ann%d@example.com", i)})
	}
	for n, want := range map[int]string{maxWhy - 1: "down", maxWhy: ""} {
		env, err := envelope.New(envelope.Path{}, append(many[:n:n], envelope.Path{Address: "user999@example.com"}))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Why(env); got != want {
			t.Errorf("recipient %d waits because of %q, want %q", n+1, got, want)
		}
	}
	g.why = errors.New("another reason")
	write()
	cfg := *l.cfg
	l.cfg = &cfg // as a reload does
	write()
	b.put("smapd-shut.json", `{"routes":[{"lane":"script","patterns":["@"]}]}`)
	if _, err := ReadShut(b.dir); err == nil || !strings.Contains(err.Error(), "smapd-shut.json: pattern") {
		t.Errorf("a bad pattern: %v", err)
	}
	if err := errors.Join(c.spool.Close(), l.cfg.close()); err != nil {
		t.Error(err)
	}
}
