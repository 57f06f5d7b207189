package courier

import (
	"context"
	"errors"
	"os"
	"sync"
	"testing"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt/envelope"
)

// TestTmpRemoved: somebody removes tmp/ during a delivery. The message stays
// claimed, and goes on when tmp/ is there again.
func TestTmpRemoved(t *testing.T) {
	t.Parallel()
	b, a := newReporter(t)
	b.cfg.Wakeup = 50 * time.Millisecond
	var once sync.Once
	b.cfg.Agent = agentFunc(func(ctx context.Context, job *agent.Job) ([]agent.Result, error) {
		once.Do(func() {
			if err := os.RemoveAll(b.path("tmp")); err != nil {
				t.Error(err)
			}
		})
		return a.Deliver(ctx, job)
	})
	id := b.send("x\n", "a@example.com", "bad@x.test")
	b.run()
	b.eventually("trouble", func() bool { return b.log.count("what=spool") > 0 })
	if !b.exists("cur/"+id+".envelope") || b.log.count("msg=reported") != 0 {
		t.Error("gone")
	}
	if err := os.Mkdir(b.path("tmp"), 0o700); err != nil {
		t.Fatal(err)
	}
	b.eventually("the report", func() bool { return b.log.count("msg=finished") == 2 && b.empty() })
	b.halt()
	if len(a.reports) != 1 {
		t.Errorf("%d reports", len(a.reports))
	}
}

// TestOurs: the field alone makes no report of ours; a stranger's message
// neither gets the bounce-agent nor stays out of the digest.
func TestOurs(t *testing.T) {
	b, a := newReporter(t)
	other := &reporter{}
	b.cfg.BounceAgent = other
	send := func() string {
		env, err := envelope.New(envelope.Path{}, []envelope.Path{{Address: "c@x.test"}})
		if err != nil {
			t.Fatal(err)
		}
		if err := env.Set(fieldReport, "failure x"); err != nil {
			t.Fatal(err)
		}
		return b.commit(env, "x\n")
	}
	send()
	b.send("x\n", "a@example.com", "bad@x.test")
	b.reports(a)
	if len(other.reports) != 2 || len(a.reports) != 0 {
		t.Errorf("%d by the bounce-agent, %d by the agent", len(other.reports), len(a.reports))
	}
	if os.Geteuid() != 0 {
		t.Log("not root: no file of another user")
		return
	}
	if err := os.Chown(b.path("new/"+send()+".eml"), 65534, -1); err != nil {
		t.Fatal(err)
	}
	b.reports(a)
	if len(other.reports) != 2 || len(a.reports) != 1 {
		t.Errorf("another user's: %d by the bounce-agent, %d by the agent", len(other.reports), len(a.reports))
	}
}

// TestBounceAgentMissing: reports wait, other mail does not.
func TestBounceAgentMissing(t *testing.T) {
	b, a := newReporter(t)
	b.cfg.BounceAgent = &agent.Exec{Argv: []string{"/nonexistent/agent"}}
	b.send("x\n", "a@example.com", "bad@x.test")
	if err := b.once(); !errors.Is(err, ErrUndelivered) {
		t.Errorf("once: %v", err)
	}
	b.send("y\n", "a@example.com", "good@x.test")
	if err := b.once(); !errors.Is(err, ErrUndelivered) || len(a.reports) != 0 {
		t.Errorf("once: %v", err)
	}
	if b.log.count("what=agent") != 0 || b.log.count("to=<good@x.test>") != 1 || b.log.count(`what="lane reports"`) != 2 {
		t.Error("log")
	}
	if got := b.names("cur"); len(got) != 2 || len(b.names("bad")) != 0 {
		t.Errorf("cur %v, bad %v", got, b.names("bad"))
	}
}

func TestSuccessReport(t *testing.T) {
	b, a := newReporter(t)
	a.results["taken"] = agent.Result{Outcome: agent.Delivered, Text: "250 ok", DSN: true} // the next host will report
	b.send("Subject: s\n\nx\n", "a@example.com", "good@x.test NOTIFY=SUCCESS", "taken@x.test NOTIFY=SUCCESS", "quiet@x.test")
	got := b.reports(a)
	if len(got) != 1 {
		t.Fatal(len(got))
	}
	p := got[0].parse(t)
	if len(p.rcpts) != 1 || p.rcpts[0].Get("Action") != "relayed" || p.rcpts[0].Get("Final-Recipient") != "rfc822; good@x.test" ||
		p.rcpts[0].Get("Status") != "2.0.0" || p.returned != "Subject: s\n" {
		t.Errorf("%v %q", p.rcpts, p.returned)
	}
}

func TestStatusIn(t *testing.T) {
	for text, want := range map[string]string{
		"": "5.0.0", "550 5.1.1 no": "5.1.1", "5.7.26 x": "5.7.26", "exit 67": "5.0.0", "4.1.1": "5.0.0",
		"5.1": "5.0.0", "5.1.1.1": "5.0.0", "5.1.1234": "5.0.0", "at 5.x.1 or 5.2.2": "5.2.2",
	} {
		if got := statusIn(text); got != want {
			t.Errorf("%q: %s, want %s", text, got, want)
		}
	}
}
