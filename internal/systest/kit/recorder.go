//go:build system

package kit

import (
	"os"
	"path/filepath"
	"sort"
	"strings"
	"testing"
	"time"
)

// Recorder is an agent that is called as sendmail is and only writes down what it was given.
type Recorder struct {
	t       *testing.T
	Program string
	Dir     string
}

// Call is one delivery to a recorder.
type Call struct {
	Args    []string
	Content string
}

// The file appears whole or not at all: a drainer that is killed must not leave half a call behind.
const recorderScript = `#!/bin/sh
t=$(mktemp DIR/.call.XXXXXX) || exit 75
{ printf '%s\n' "$@" && echo . && cat; } >"$t" || exit 75
mv "$t" "DIR/call-${t##*.}" || exit 75
`

// NewRecorder makes a recorder in the site.
func NewRecorder(t *testing.T, s *Site) *Recorder {
	t.Helper()
	r := &Recorder{t: t, Dir: s.File("calls"), Program: s.File("recorder")}
	uid, gid := IDs(t, SmapdUser)
	s.Mkdir(r.Dir, 0o755, uid, gid)
	s.Write(r.Program, strings.ReplaceAll(recorderScript, "DIR", r.Dir), 0o755)
	return r
}

// Wait waits until it was called that many times, and gives all calls. More than that is an error.
func (r *Recorder) Wait(want int, limit time.Duration) []Call {
	r.t.Helper()
	Eventually(limit, func() bool { return len(r.Names()) >= want })
	calls := r.Calls()
	if len(calls) != want {
		r.t.Fatalf("the agent was called %d times, want %d", len(calls), want)
	}
	return calls
}

// Names are the files of the calls.
func (r *Recorder) Names() []string {
	names, err := filepath.Glob(filepath.Join(r.Dir, "call-*"))
	if err != nil {
		r.t.Fatal(err)
	}
	return names
}

// Calls are all deliveries until now.
func (r *Recorder) Calls() []Call {
	r.t.Helper()
	var all []Call
	for _, name := range r.Names() {
		b, err := os.ReadFile(name)
		if err != nil {
			r.t.Fatal(err)
		}
		args, content, ok := strings.Cut(string(b), "\n.\n")
		if !ok {
			r.t.Fatalf("%s is no call: %q", name, b)
		}
		all = append(all, Call{Args: strings.Split(args, "\n"), Content: content})
	}
	return all
}

// Sender is what followed -f; recipients are what followed --, sorted.
func (c Call) Sender() string {
	for i, a := range c.Args {
		if a == "-f" && i+1 < len(c.Args) {
			return c.Args[i+1]
		}
	}
	return ""
}

// Recipients are the addresses that the call was for.
func (c Call) Recipients() []string {
	for i, a := range c.Args {
		if a == "--" {
			to := append([]string(nil), c.Args[i+1:]...)
			sort.Strings(to)
			return to
		}
	}
	return nil
}
