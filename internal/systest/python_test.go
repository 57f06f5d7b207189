//go:build system

package systest

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestPython has the second implementation of the format, which knows only the document, feed smapd and drain what
// shells have fed.
func TestPython(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	agent := newRecorder(t, s)
	who := newPerson(t, s.dir, "smt-python")
	uid, gid := ids(t, smapdUser)
	source, err := filepath.Abs("../../contrib/python/spoolfmt.py")
	if err != nil {
		t.Fatal(err)
	}
	// Readable by all: the tree need not be.
	script := s.write(s.file("spoolfmt.py"), readFile(t, source), 0o644)
	python := strings.TrimSpace(run(t, "python3", "-c", "import sys; print(sys.base_prefix + '/bin/python3')"))
	if strings.HasPrefix(python, "/root/") {
		python = "/usr/bin/python3" // the others cannot read root's own one
	}

	feedShells(t, s, who, 2, 5)
	if out, err := as(t, uid, gid, python, script, "drain", s.spool, "/bin/sh", "-c",
		fmt.Sprintf(`exec %s -f "$SENDER" -- "$RECIPIENTS"`, agent.program)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	seen := map[string]int{}
	for _, c := range agent.wait(10, 0) {
		matching(t, seen, c.sender(), c.content)
	}
	s.empty()

	s.rules("smapd: log stderr", "smapd: sendmail "+agent.program)
	start(t, program(t, "smapd"), "-c", s.table)
	for i := range 5 {
		content := fmt.Sprintf("Subject: python %d\n\n.\n", i)
		out, err := as(t, uid, gid, "/bin/sh", "-c", `printf %s "$1" | "$2" "$3" feed "$4" a@client.test b@system.test`,
			"sh", content, python, script, s.spool)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if got := agent.wait(15, 20*time.Second); got[14].sender() == "" {
		t.Errorf("a call without a sender: %v", got[14].args)
	}
	s.empty()
}
