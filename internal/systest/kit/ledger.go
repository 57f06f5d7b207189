//go:build system

package kit

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// Ledger is an agent that writes a line when it begins and one when it ends, in one file. It runs nothing but the
// shell's own commands, so that thousands of calls are cheap. Lines are appended whole and in the order of time.
type Ledger struct {
	t       *testing.T
	Program string
	path    string
}

// The third word of a line is the mark: in a drop the id is not the feeder's. PAUSE is a command that makes a call last.
const ledgerScript = `#!/bin/sh
echo "begin $$ ${SMAP_SENDER%@*}" >>LEDGER || exit 75
text=
while IFS= read -r line; do text="$text$line|"; done
PAUSE
echo "end $$ ${SMAP_SENDER%@*} $text" >>LEDGER || exit 75
`

// NewLedger makes a ledger in the site; pause is a shell command that each call runs.
func NewLedger(t *testing.T, s *Site, pause string) *Ledger {
	t.Helper()
	l := &Ledger{t: t, path: s.File("ledger"), Program: s.File("agent")}
	uid, gid := IDs(t, SmapdUser)
	s.Write(l.path, "", 0o600)
	if err := os.Chown(l.path, uid, gid); err != nil {
		t.Fatal(err)
	}
	s.Write(l.Program, strings.NewReplacer("LEDGER", l.path, "PAUSE", pause).Replace(ledgerScript), 0o755)
	return l
}

// Deliveries reads the whole ledger: how often each mark was delivered. Two agents at work on one message at the same
// time, an agent that began and never ended, or a content that is not the mark's own is an error.
func (l *Ledger) Deliveries() map[string]int {
	l.t.Helper()
	seen, working := map[string]int{}, map[string]string{}
	for line := range strings.Lines(ReadFile(l.t, l.path)) {
		word := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 4)
		if len(word) < 3 {
			l.t.Errorf("ledger: %q", line)
			continue
		}
		pid, mark := word[1], word[2]
		switch word[0] {
		case "begin":
			if other := working[mark]; other != "" {
				l.t.Errorf("%s: agent %s began while agent %s was at work", mark, pid, other)
			}
			working[mark] = pid
		case "end":
			if working[mark] != pid {
				l.t.Errorf("%s: agent %s ended, %q was at work", mark, pid, working[mark])
			}
			delete(working, mark)
			seen[mark]++
			_, content := Marked(mark)
			if got := word[3]; !strings.HasSuffix(got, strings.ReplaceAll(content, "\n", "|")) {
				l.t.Errorf("%s came with %q", mark, got)
			}
		}
	}
	for mark, pid := range working {
		l.t.Errorf("%s: agent %s began and never ended", mark, pid)
	}
	return seen
}

// Exactly wants each of these marks once and nothing else.
func (l *Ledger) Exactly(marks []string) {
	l.t.Helper()
	seen := l.Deliveries()
	var wrong []string
	for _, m := range marks {
		if seen[m] != 1 {
			wrong = append(wrong, fmt.Sprintf("%s %d times", m, seen[m]))
		}
		delete(seen, m)
	}
	for m := range seen {
		wrong = append(wrong, m+" was never fed")
	}
	if len(wrong) > 0 {
		l.t.Errorf("of %d messages %d are wrong: %s", len(marks), len(wrong), Head(strings.Join(wrong, ", "), 1000))
	}
}
