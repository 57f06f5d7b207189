//go:build system

package systest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestShellDrainer has a drainer of a few lines of shell beside smapd: no message lost, none taken by both.
func TestShellDrainer(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	agent := newRecorder(t, s)
	s.rules("smapd: log stderr", "smapd: maxchildren 2", "smapd: sendmail "+agent.program)

	// Linux lets nobody link to another user's files that he cannot write, so feeders and drainers are one user here.
	uid, gid := ids(t, smapdUser)
	who := person{name: smapdUser, uid: uid, gid: gid}
	taken := s.path("taken")
	s.mkdir(taken, 0o700, uid, gid)
	script := s.write(s.file("drain"), drainScript, 0o755)
	finished := make(chan error, 1)
	go func() {
		out, err := as(t, uid, gid, "/bin/sh", script, s.spool, taken)
		if out != "" {
			t.Errorf("the shell drainer said %s", out)
		}
		finished <- err
	}()
	start(t, program(t, "smapd"), "-c", s.table)
	const shells, count = 4, 100
	feedShells(t, s, who, shells, count)
	if err := <-finished; err != nil {
		t.Errorf("shell drainer: %v", err)
	}

	seen := map[string]int{}
	own, err := filepath.Glob(filepath.Join(taken, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range own {
		matching(t, seen, senderOf(t, filepath.Join(dir, "envelope")), readFile(t, filepath.Join(dir, "content")))
	}
	byShell := len(seen)
	if !eventually(time.Minute, func() bool { return len(agent.names()) >= shells*count-byShell }) {
		t.Errorf("smapd took %d and the shell %d of %d", len(agent.names()), byShell, shells*count)
	}
	for _, c := range agent.calls() {
		matching(t, seen, c.sender(), c.content)
	}
	if len(seen) != shells*count {
		t.Errorf("%d messages of %d arrived", len(seen), shells*count)
	}
	if byShell == 0 || byShell == shells*count {
		t.Errorf("the shell took %d of %d: nobody competed", byShell, shells*count)
	}
	s.empty()
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// senderOf is the sender's address in an envelope file.
func senderOf(t *testing.T, path string) string {
	t.Helper()
	for line := range strings.Lines(readFile(t, path)) {
		if rest, ok := strings.CutPrefix(line, "Sender: <"); ok {
			address, _, _ := strings.Cut(rest, ">")
			return address
		}
	}
	t.Fatalf("%s has no sender", path)
	return ""
}
