//go:build system

package crash

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// openData goes as far as the middle of a message, whose beginning is in the spool by then.
func openData(t *testing.T, s *kit.Site, port int, to string) *kit.SMTPConn {
	t.Helper()
	c := kit.DialSMTP(t, port)
	c.Reply("220")
	c.Say("EHLO client.test", "250")
	c.Say("MAIL FROM:<"+kit.FromAddress+">", "250")
	c.Say("RCPT TO:<"+to+">", "250")
	c.Say("DATA", "354")
	if _, err := fmt.Fprintf(c, "Subject: half\r\n\r\n%s", strings.Repeat("half a message\r\n", 10000)); err != nil {
		t.Fatal(err)
	}
	if !kit.Eventually(10*time.Second, func() bool { return s.Count("tmp") > 0 }) {
		t.Error("the content should be in tmp/ by now")
	}
	return c
}

// TestKillReceiver kills smap in the middle of DATA: nothing in new/, whoever started it.
func TestKillReceiver(t *testing.T) {
	t.Parallel()
	kit.Syslog(t)
	for _, how := range []string{"inetd", "listen"} {
		t.Run(how, func(t *testing.T) {
			s := kit.NewSite(t)
			s.Rules("smap: hostname mx.system.test", "smap: local-domains system.test")
			var port int
			if how == "inetd" {
				port = kit.StartInetd(t, s)
			} else {
				port = kit.FreePort(t)
				kit.Start(t, kit.Program(t, "smap"), "-c", s.Table, "-listen", kit.Local(port))
				kit.Listening(t, port)
			}
			c := openData(t, s, port, "bob@system.test")
			for _, pid := range kit.Processes(t, "smap", s.Table) {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
			}
			c.SetReadDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // the read below tells
			if line, err := c.In.ReadString('\n'); err == nil {
				t.Errorf("after the kill the client heard %q", line)
			}
			if n := s.Names("new"); len(n) != 0 {
				t.Errorf("in new/: %v", n)
			}
		})
	}
}

// hangScript is a recorder that hangs as long as a file says so.
const hangScript = `#!/bin/sh
if [ -e FLAG ]; then
	: >FLAG.$$
	exec sleep 600
fi
exec RECORDER "$@"
`

// TestKillCourier kills smapd in the middle of deliveries. The agents still run and have the locks: nobody may deliver
// beside them. Once they are gone too, the next smapd delivers.
func TestKillCourier(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	agent := kit.NewRecorder(t, s)
	who := kit.NewPerson(t, s.Dir, "smt-crash")
	flag := s.File("calls", "hang")
	s.Write(flag, "", 0o644)
	hang := s.Write(s.File("agent"), strings.NewReplacer("FLAG", flag, "RECORDER", agent.Program).Replace(hangScript), 0o755)
	s.Rules("smapd: log stderr", "smapd: wakeup 1", "smapd: sendmail "+hang)
	first := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	kit.FeedShells(t, s, who, 1, 2)
	var hanging []int
	kit.Eventually(20*time.Second, func() bool {
		hanging = nil
		files, _ := filepath.Glob(flag + ".*")
		for _, f := range files {
			pid, _ := strconv.Atoi(strings.TrimPrefix(f, flag+"."))
			hanging = append(hanging, pid)
		}
		return len(hanging) == 2
	})
	if len(hanging) != 2 {
		t.Fatalf("%d agents were started, want 2", len(hanging))
	}
	for _, pid := range first.Children() {
		if !slices.Contains(hanging, pid) {
			syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // the child may end with its parent
		}
	}
	<-first.Done
	if n := s.Count("cur"); n != 4 {
		t.Errorf("cur/ holds %d files, want those of two messages", n)
	}
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	kit.Stays(t, 3*time.Second, "nothing is delivered beside living agents, in the time of three rescans", func() bool {
		return len(agent.Names()) == 0
	})
	for _, pid := range hanging {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Errorf("the agent died with smapd: %v", err)
		}
	}
	seen := map[string]int{}
	for _, c := range agent.Wait(2, 15*time.Second) {
		kit.Matching(t, seen, c.Sender(), c.Content)
	}
	s.Empty()
}
