package courier

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"

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
