//go:build system

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"smap/internal/systest/kit"
)

// TestCheckMailq has the plugin of Nagios and its heirs count the queue, as it does with Postfix and with sendmail. It calls
// /usr/bin/mailq, which is smapq in a mount namespace of its own.
func TestCheckMailq(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	bin := t.TempDir()
	if err := os.Symlink(kit.Program(t, "smapq"), filepath.Join(bin, "mailq")); err != nil {
		t.Fatal(err)
	}
	script := s.Write(s.File("mailq"), "#!/bin/sh\nSMAP_SPOOL="+s.Spool+" exec "+bin+"/mailq\n", 0o755)
	check := func(server string) string {
		t.Helper()
		cmd := exec.Command("unshare", "--mount", "/bin/sh", "-c", `[ -e /usr/bin/mailq ] || : >/usr/bin/mailq
			mount --bind "$0" /usr/bin/mailq && exec /usr/lib/nagios/plugins/check_mailq -M "$1" -w 2 -c 4`, script, server)
		out, _ := cmd.CombinedOutput() // its exit code is the verdict, and in the text
		return fmt.Sprintf("%d %s", cmd.ProcessState.ExitCode(), strings.TrimSpace(string(out)))
	}
	feeder := kit.OwnFeeder(t, s.Spool)
	for _, c := range []struct {
		n    int
		want string
	}{{0, "0 OK"}, {1, "0 OK"}, {3, "1 WARNING"}, {5, "2 CRITICAL"}} {
		n, want := c.n, c.want
		for i := s.Count("new") / 2; i < n; i++ {
			feeder.Pair(fmt.Sprintf("queued-%d", i), "bob@system.test")
		}
		for _, server := range []string{"postfix", "sendmail"} {
			if got := check(server); !strings.HasPrefix(got, want) || n > 0 && !strings.Contains(got, fmt.Sprint(n)) {
				t.Errorf("%s with %d messages: %s, want %s", server, n, got, want)
			}
		}
	}
}
