package courier

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt/envelope"
)

// TestProgramsApart: what an agent leaves behind reads on at its own place in the
// content, and takes nothing from the agent for the next recipient.
func TestProgramsApart(t *testing.T) {
	t.Parallel()
	script := filepath.Join(t.TempDir(), "agent")
	text := "#!/bin/sh\n" +
		"case $2 in\n" +
		"b@*) exec 4<&0; (sleep 0.1; cat <&4 >$1/early) >/dev/null 2>&1 & ;;\n" +
		"c@*) sleep 0.5; cat >$1/late ;;\n" +
		"esac\n"
	if err := os.WriteFile(script, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, feed := range map[string]func(*bench){
		"message": func(b *bench) { b.message("From: a@example.com\n\nx\n", "b@example.org", "c@example.org") },
		"drop":    (*bench).drop,
	} {
		dir := t.TempDir()
		b := newBench(t, &agent.Exec{Argv: []string{script, dir, "{recipient}"}})
		feed(b)
		if err := b.once(); err != nil || !b.empty() {
			t.Fatalf("%s: %v, left %v %v", name, err, b.names("new"), b.names("cur"))
		}
		for _, file := range []string{"early", "late"} {
			got, err := os.ReadFile(filepath.Join(dir, file))
			if err != nil || !strings.HasSuffix(string(got), "\n\nx\n") || !strings.Contains(string(got), "From: a@example.com\n") {
				t.Errorf("%s, %s: %q, %v", name, file, got, err)
			}
		}
	}
}

// TestBatches: recipients whose NOTIFY differs are not in one call of a sendmail
// program that is told of it.
func TestBatches(t *testing.T) {
	some := envelope.Path{Address: "b@example.org", Params: params("NOTIFY=SUCCESS,DELAY")}
	never := envelope.Path{Address: "c@example.org", Params: []envelope.Param{{Keyword: "NOTIFY", Value: "NEVER", HasValue: true}}}
	env, err := envelope.New(envelope.Path{Address: "a@example.com"}, []envelope.Path{some, never, {Address: "d@example.org", Params: some.Params}})
	if err != nil {
		t.Fatal(err)
	}
	if got := split(env.Pending(), &agent.Sendmail{Argv: []string{"/s", "{dsn}"}}, 100); len(got) != 2 || len(got[0])+len(got[1]) != 3 {
		t.Errorf("batches %v", got)
	}
	if got := split(env.Pending(), &agent.Sendmail{Argv: []string{"/s"}}, 100); len(got) != 1 {
		t.Errorf("batches %v", got)
	}
}

// TestHangingRecipient: recipients behind one for whom the agent hangs get their turn
// at a later attempt.
func TestHangingRecipient(t *testing.T) {
	t.Parallel()
	b := newBench(t, agentFunc(func(ctx context.Context, job *agent.Job) ([]agent.Result, error) {
		if job.Recipients[0].Address == "hangs@x.test" {
			<-ctx.Done()
			return job.Same(agent.Result{Text: "timeout"}), nil
		}
		return job.Same(agent.Result{Outcome: agent.Delivered}), nil
	}))
	b.cfg.AgentTimeout, b.cfg.Batch = 50*time.Millisecond, 1
	id := b.message("x\n", "hangs@x.test", "b@x.test", "c@x.test")
	for range 2 {
		if err := b.once(); err != nil {
			t.Fatal(err)
		}
		b.due(id)
	}
	if left := b.envelope("cur/" + id + ".envelope").Pending(); len(left) != 1 || left[0].Address != "hangs@x.test" {
		t.Errorf("after two attempts %v wait", left)
	}
}
