//go:build system

package delivery

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestLoopOfTwoDefaults hides from smapd that its agent is smapq in the place of sendmail, behind a script: smapd refuses such
// an agent when it sees it. Each delivery puts the message back. smapq counts the Received fields, so that this ends.
func TestLoopOfTwoDefaults(t *testing.T) {
	t.Parallel()
	s := newFedSite(t)
	calls := s.File("calls")
	uid, gid := kit.IDs(t, kit.SmapdUser)
	s.Write(calls, "", 0o600)
	if err := os.Chown(calls, uid, gid); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(kit.Program(t, "smapq"), s.File("sendmail")); err != nil {
		t.Fatal(err)
	}
	s.Rules("smapd: log stderr", "smapd: badadmin none", "smapd: agent sendmail "+s.File("sendmail"))
	if out, err := kit.As(t, 0, 0, kit.Program(t, "smapd"), "-t", "-c", s.Table); err == nil || !strings.Contains(out, "each message would come back") {
		t.Errorf("smapd -t says %v: %s", err, out)
	}
	agent := kit.WriteAgent(s, "echo >>"+calls+"\nSMAP_SPOOL="+s.Spool+" exec "+s.File("sendmail")+` -i -f "$SMAP_SENDER" -- $SMAP_RECIPIENTS`+"\n")
	s.Rules("smapd: log stderr", "smapd: badadmin none", "smapd: agent exec "+agent)
	kit.OwnFeeder(t, s.Spool).Pair("round", "bob@system.test")
	smapd := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	if !kit.Eventually(25*time.Second, func() bool { return s.Count("bad") == 2 && s.Count("new") == 0 }) {
		t.Fatalf("it goes round and round: %d calls", strings.Count(kit.ReadFile(t, calls), "\n"))
	}
	if code := smapd.Stop(); code != 0 {
		t.Errorf("smapd ended with %d", code)
	}
	if n := strings.Count(kit.ReadFile(t, calls), "\n"); n < 50 || n > 150 {
		t.Errorf("it went round %d times", n)
	}
	names, err := filepath.Glob(s.Path("bad", "*.envelope"))
	if err != nil || len(names) != 1 || !strings.Contains(kit.ReadFile(t, names[0]), "Received fields: it is in a mail loop") {
		t.Errorf("set aside: %v, %v", names, err)
	}
	if s.Count("cur") != 0 {
		t.Errorf("in cur/: %v", s.Names("cur"))
	}
}
