package courier

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

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
