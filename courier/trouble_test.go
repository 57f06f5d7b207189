package courier

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt"
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

func TestAgentMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	program := filepath.Join(dir, "agent")
	b := newBench(t, &agent.Exec{Argv: []string{program}})
	b.run()
	for i := range 5 {
		b.message(fmt.Sprintf("%d\n", i))
	}
	b.eventually("said", func() bool { return b.log.count("msg=trouble") == 1 })
	tried := func() int {
		n := 0
		for _, name := range b.names("cur") {
			if data, err := os.ReadFile(b.path("cur/" + name)); err == nil && strings.Contains(string(data), "Last-Error: ") {
				n++
			}
		}
		return n
	}
	b.eventually("several were tried", func() bool { return tried() >= 3 })
	for _, n := range b.names("cur") {
		if strings.HasSuffix(n, ".envelope") && b.envelope("cur/"+n).Get("Attempts") != "" {
			t.Error("an attempt was counted")
		}
	}
	if err := os.Symlink("/bin/true", program); err != nil {
		t.Fatal(err)
	}
	b.eventually("healed", b.empty)
	if b.log.count("msg=trouble") != 1 || b.log.count("msg=healed") != 1 || b.log.count("msg=finished") != 5 {
		t.Error("log lines")
	}
}

func TestAgentMissingOnce(t *testing.T) {
	b := newBench(t, &agent.Exec{Argv: []string{"/nonexistent/agent"}})
	b.message("x\n")
	if err := b.once(); !errors.Is(err, ErrUndelivered) {
		t.Errorf("got %v", err)
	}
}

// TestOutcomeHeld: an outcome that cannot be written stays in memory and blocks
// another delivery; it is written when that is possible again.
func TestOutcomeHeld(t *testing.T) { // not parallel: its limit is the process's
	var old syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_FSIZE, &old); err != nil {
		t.Fatal(err)
	}
	set := func(l syscall.Rlimit) {
		if err := syscall.Setrlimit(syscall.RLIMIT_FSIZE, &l); err != nil {
			t.Error(err)
		}
	}
	var mu sync.Mutex
	calls := 0
	b := newBench(t, agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		calls++
		set(syscall.Rlimit{Cur: 1, Max: old.Max})
		return []agent.Result{{Outcome: agent.Delivered}, {Outcome: agent.Failed, Text: "no"}}, nil
	}))
	b.cfg.Wakeup = 100 * time.Millisecond
	id := b.message("x\n", "a@example.org", "b@example.org")
	b.run()
	b.eventually("trouble", func() bool { return b.log.count("msg=trouble") > 0 })
	b.nothing(300*time.Millisecond, "three rescans, which must not start the message again")
	set(old)
	b.eventually("set aside", func() bool { return b.exists("bad/" + id + ".envelope") })
	b.halt()
	if calls != 1 {
		t.Errorf("delivered %d times", calls)
	}
	if b.log.count("msg=healed") != 1 {
		t.Error("no healed line")
	}
}

func TestNewMoved(t *testing.T) {
	t.Parallel()
	var got tally
	b := newBench(t, agentFunc(got.Deliver))
	b.run()
	b.message("1\n")
	b.eventually("first", func() bool { return got.len() == 1 })
	b.eventually("empty", b.empty)
	if err := os.Rename(b.path("new"), b.path("away")); err != nil {
		t.Fatal(err)
	}
	b.eventually("said", func() bool { return b.log.count("msg=spool-moved") == 1 })
	b.nothing(100*time.Millisecond, "a courier that made the box would do so when it logs that the spool moved")
	if b.exists("new") {
		t.Error("new was made again")
	}
	if err := os.Mkdir(b.path("new"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.feed.Close()
	b.feed, _ = spoolfmt.OpenDrainer(b.dir, spoolfmt.Options{})
	b.message("2\n")
	b.eventually("second", func() bool { return got.len() == 2 })
	b.message("3\n")
	b.eventually("third", func() bool { return got.len() == 3 })
	if b.log.count("msg=healed") != 1 {
		t.Error("no healed line")
	}
}
