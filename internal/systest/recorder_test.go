//go:build system

package systest

import (
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"
)

// recorder is an agent that is called as sendmail is and only writes down what it was given.
type recorder struct {
	t       *testing.T
	program string
	dir     string
}

// call is one delivery to a recorder.
type call struct {
	args    []string
	content string
}

// The file appears whole or not at all: a drainer that is killed must not leave half a call behind.
const recorderScript = `#!/bin/sh
t=$(mktemp DIR/.call.XXXXXX) || exit 75
{ printf '%s\n' "$@" && echo . && cat; } >"$t" || exit 75
mv "$t" "DIR/call-${t##*.}" || exit 75
`

func newRecorder(t *testing.T, s *site) *recorder {
	t.Helper()
	r := &recorder{t: t, dir: s.file("calls"), program: s.file("recorder")}
	uid, gid := ids(t, smapdUser)
	s.mkdir(r.dir, 0o755, uid, gid)
	s.write(r.program, strings.ReplaceAll(recorderScript, "DIR", r.dir), 0o755)
	return r
}

// wait waits until it was called that many times, and gives all calls. More than that is an error.
func (r *recorder) wait(want int, limit time.Duration) []call {
	r.t.Helper()
	eventually(limit, func() bool { return len(r.names()) >= want })
	calls := r.calls()
	if len(calls) != want {
		r.t.Fatalf("the agent was called %d times, want %d", len(calls), want)
	}
	return calls
}

func (r *recorder) names() []string {
	names, err := filepath.Glob(filepath.Join(r.dir, "call-*"))
	if err != nil {
		r.t.Fatal(err)
	}
	return names
}

func (r *recorder) calls() []call {
	r.t.Helper()
	var all []call
	for _, name := range r.names() {
		b, err := os.ReadFile(name)
		if err != nil {
			r.t.Fatal(err)
		}
		args, content, ok := strings.Cut(string(b), "\n.\n")
		if !ok {
			r.t.Fatalf("%s is no call: %q", name, b)
		}
		all = append(all, call{args: strings.Split(args, "\n"), content: content})
	}
	return all
}

// sender is what followed -f; recipients are what followed --, sorted.
func (c call) sender() string {
	for i, a := range c.args {
		if a == "-f" && i+1 < len(c.args) {
			return c.args[i+1]
		}
	}
	return ""
}

func (c call) recipients() []string {
	for i, a := range c.args {
		if a == "--" {
			to := append([]string(nil), c.args[i+1:]...)
			sort.Strings(to)
			return to
		}
	}
	return nil
}
