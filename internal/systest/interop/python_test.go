//go:build system

package interop

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestPython has the second implementation of the format, which knows only the document, feed smapd and drain what
// shells have fed.
func TestPython(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	agent := kit.NewRecorder(t, s)
	who := kit.NewPerson(t, s.Dir, "smt-python")
	uid, gid := kit.IDs(t, kit.SmapdUser)
	source, err := filepath.Abs("../../../contrib/python/spoolfmt.py")
	if err != nil {
		t.Fatal(err)
	}
	// Readable by all: the tree need not be.
	script := s.Write(s.File("spoolfmt.py"), kit.ReadFile(t, source), 0o644)
	python := strings.TrimSpace(kit.Run(t, "python3", "-c", "import sys; print(sys.base_prefix + '/bin/python3')"))
	if strings.HasPrefix(python, "/root/") {
		python = "/usr/bin/python3" // the others cannot read root's own one
	}

	kit.FeedShellsMode(t, s, who, 2, 5, "660") // the Python drainer moves by link
	if out, err := kit.As(t, uid, gid, python, script, "drain", s.Spool, "/bin/sh", "-c",
		fmt.Sprintf(`exec %s -f "$SENDER" -- "$RECIPIENTS"`, agent.Program)); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	seen := map[string]int{}
	for _, c := range agent.Wait(10, 0) {
		kit.Matching(t, seen, c.Sender(), c.Content)
	}
	s.Empty()

	s.Rules("smapd: log stderr", "smapd: sendmail "+agent.Program)
	kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	for i := range 5 {
		content := fmt.Sprintf("Subject: python %d\n\n.\n", i)
		out, err := kit.As(t, uid, gid, "/bin/sh", "-c", `printf %s "$1" | "$2" "$3" feed "$4" a@client.test b@system.test`,
			"sh", content, python, script, s.Spool)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	if got := agent.Wait(15, 20*time.Second); got[14].Sender() == "" {
		t.Errorf("a call without a sender: %v", got[14].Args)
	}
	s.Empty()
}
