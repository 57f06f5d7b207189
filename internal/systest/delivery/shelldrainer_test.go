//go:build system

package delivery

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestShellDrainer has a drainer of a few lines of shell beside smapd: no message lost, none taken by both.
func TestShellDrainer(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	agent := kit.NewRecorder(t, s)
	s.Rules("smapd: log stderr", "smapd: maxchildren 2", "smapd: sendmail "+agent.Program)

	// Linux lets nobody link to another user's files that he cannot write, so feeders and drainers are one user here.
	uid, gid := kit.IDs(t, kit.SmapdUser)
	who := kit.Person{Name: kit.SmapdUser, Uid: uid, Gid: gid}
	taken := s.Path("taken")
	s.Mkdir(taken, 0o700, uid, gid)
	script := s.Write(s.File("drain"), kit.DrainScript, 0o755)
	finished := make(chan error, 1)
	go func() {
		out, err := kit.As(t, uid, gid, "/bin/sh", script, s.Spool, taken)
		if out != "" {
			t.Errorf("the shell drainer said %s", out)
		}
		finished <- err
	}()
	kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	const shells, count = 4, 100
	kit.FeedShells(t, s, who, shells, count)
	if err := <-finished; err != nil {
		t.Errorf("shell drainer: %v", err)
	}

	seen := map[string]int{}
	own, err := filepath.Glob(filepath.Join(taken, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range own {
		kit.Matching(t, seen, senderOf(t, filepath.Join(dir, "envelope")), kit.ReadFile(t, filepath.Join(dir, "content")))
	}
	byShell := len(seen)
	if !kit.Eventually(time.Minute, func() bool { return len(agent.Names()) >= shells*count-byShell }) {
		t.Errorf("smapd took %d and the shell %d of %d", len(agent.Names()), byShell, shells*count)
	}
	for _, c := range agent.Calls() {
		kit.Matching(t, seen, c.Sender(), c.Content)
	}
	if len(seen) != shells*count {
		t.Errorf("%d messages of %d arrived", len(seen), shells*count)
	}
	if byShell == 0 || byShell == shells*count {
		t.Errorf("the shell took %d of %d: nobody competed", byShell, shells*count)
	}
	s.Empty()
}

// senderOf is the sender's address in an envelope file.
func senderOf(t *testing.T, path string) string {
	t.Helper()
	for line := range strings.Lines(kit.ReadFile(t, path)) {
		if rest, ok := strings.CutPrefix(line, "Sender: <"); ok {
			address, _, _ := strings.Cut(rest, ">")
			return address
		}
	}
	t.Fatalf("%s has no sender", path)
	return ""
}
