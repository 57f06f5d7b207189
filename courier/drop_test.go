package courier

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"smap/courier/agent"
	"smap/spoolfmt/envelope"
)

// drop commits a single file as a script would.
func (b *bench) drop() {
	b.t.Helper()
	b.put("tmp/x", "From: a@example.com\nTo: b@example.org, c@example.org\n\nx\n")
	if err := os.Rename(b.path("tmp/x"), b.path("new/daily.mail")); err != nil {
		b.t.Fatal(err)
	}
}

// inCur is the one name in cur with that suffix, without it.
func (b *bench) inCur(suffix string) string {
	b.t.Helper()
	names, err := filepath.Glob(b.path("cur/*" + suffix))
	if err != nil || len(names) != 1 {
		b.t.Fatalf("cur holds %v, %v", b.names("cur"), err)
	}
	return strings.TrimSuffix(filepath.Base(names[0]), suffix)
}

// built are the files in tmp that drops were read into.
func (b *bench) built() []string {
	b.t.Helper()
	names, err := filepath.Glob(b.path("tmp/*.drop.*"))
	if err != nil {
		b.t.Fatal(err)
	}
	return names
}

// TestDropDeferred: what is left of a drop is a message like any other, and the
// agent finds its envelope each time.
func TestDropDeferred(t *testing.T) {
	t.Parallel()
	b := newBench(t, nil)
	var calls [][]string
	b.cfg.Agent = agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		text, err := os.ReadFile(job.EnvelopePath)
		if err == nil {
			_, err = envelope.Parse(text)
		}
		if err != nil {
			t.Error(err)
		}
		calls = append(calls, job.Addresses())
		r := job.Same(agent.Result{Outcome: agent.Delivered})
		if len(calls) == 1 {
			r[1] = agent.Result{Text: "later"}
		}
		return r, nil
	})
	b.drop()
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	id := b.inCur(".envelope")
	if e := b.envelope("cur/" + id + ".envelope"); len(e.Pending()) != 1 || e.Get("Attempts") != "1" || !b.exists("cur/"+id+".eml") {
		t.Errorf("cur %v, %+v", b.names("cur"), e)
	}
	b.due(id)
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	if len(calls) != 2 || strings.Join(calls[1], " ") != "c@example.org" || !b.empty() || len(b.built()) != 0 {
		t.Errorf("calls %v; tmp %v, cur %v", calls, b.built(), b.names("cur"))
	}
}

// TestDropAgentDown: a drop whose agent cannot be reached is a message that waits,
// with the reason, and goes when the agent is back.
func TestDropAgentDown(t *testing.T) {
	t.Parallel()
	var got tally
	b := newBench(t, nil)
	b.cfg.Agent = agentFunc(func(ctx context.Context, job *agent.Job) ([]agent.Result, error) {
		if !b.exists("up") {
			return nil, &agent.StartError{Agent: "test", Err: errors.New("down")}
		}
		return got.Deliver(ctx, job)
	})
	b.drop()
	b.run()
	b.eventually("trouble", func() bool { return b.log.count("what=agent") > 0 })
	b.eventually("given back", func() bool { return len(b.built()) == 0 && len(b.names("cur")) == 2 })
	if e := b.envelope("cur/" + b.inCur(".envelope") + ".envelope"); e.Get("Attempts") != "" || !strings.Contains(e.Get("Last-Error"), "down") {
		t.Errorf("Attempts %q, Last-Error %q", e.Get("Attempts"), e.Get("Last-Error"))
	}
	b.put("up", "")
	b.eventually("delivered", func() bool { return got.len() == 1 && b.empty() })
}
