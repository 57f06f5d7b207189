package courier

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"

	"smap/courier/agent"
	"smap/spoolfmt/envelope"
)

// TestSystemTrouble: what every message would meet stops all; what is about one
// file does not.
func TestSystemTrouble(t *testing.T) {
	for errno, want := range map[error]bool{
		syscall.ENOSPC: true, syscall.EDQUOT: true, syscall.EROFS: true, syscall.EMFILE: true,
		syscall.ENFILE: true, syscall.ENOMEM: true, syscall.ENOLCK: true,
		syscall.EIO: false, syscall.ENOENT: false, syscall.EACCES: false, errors.New("x"): false,
	} {
		if systemTrouble(fmt.Errorf("new/x: %w", errno)) != want {
			t.Errorf("%v: not %v", errno, want)
		}
	}
}

// TestAgentMiscounts: an agent that does not answer for each recipient has
// delivered nothing that we could believe.
func TestAgentMiscounts(t *testing.T) {
	t.Parallel()
	b := newBench(t, agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		return job.Same(agent.Result{Outcome: agent.Delivered})[1:], nil
	}))
	id := b.message("x\n", "b@x.test", "c@x.test")
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	env := b.envelope("cur/" + id + ".envelope")
	if len(env.Pending()) != 2 || !strings.Contains(env.Get("Last-Error"), "1 results for 2 recipients") {
		t.Errorf("pending %v, %q", env.Pending(), env.Get("Last-Error"))
	}
}

// TestFailedWithoutText: the envelope wants a reason, so there is one.
func TestFailedWithoutText(t *testing.T) {
	t.Parallel()
	b := newBench(t, all(agent.Result{Outcome: agent.Failed}))
	id := b.message("x\n", "b@x.test")
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	env := b.envelope("bad/" + id + ".envelope")
	if o := env.Recipients()[0].Outcome; o == nil || o.Status != envelope.StatusFailed || o.Text != "refused" {
		t.Errorf("outcome %+v", o)
	}
}

// TestContentTrouble: a content that cannot be opened for a program is trouble with
// the spool. It counts no attempt, and the message does not wait for a retry time.
func TestContentTrouble(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	calls := 0
	b.cfg.Agent = agentFunc(func(ctx context.Context, job *agent.Job) ([]agent.Result, error) {
		calls++
		j := *job
		if calls < 3 {
			j.Open = func() (*os.File, error) { return nil, fmt.Errorf("copy: %w", syscall.EMFILE) }
		}
		return (&agent.Exec{Argv: []string{"/bin/sh", "-c", "exit 0"}}).Deliver(ctx, &j)
	})
	b.message("x\n", "b@x.test")
	b.run()
	b.eventually("delivered", b.empty)
	b.halt()
	if calls != 3 || b.log.count("msg=deferred") != 0 || b.log.count("msg=finished") != 1 {
		t.Errorf("%d calls", calls)
	}
}
