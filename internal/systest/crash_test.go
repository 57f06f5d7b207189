//go:build system

package systest

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
)

// openData goes as far as the middle of a message.
func openData(t *testing.T, port int, to string) *smtpConn {
	t.Helper()
	c := dialSMTP(t, port)
	c.reply("220")
	c.say("EHLO client.test", "250")
	c.say("MAIL FROM:<"+fromAddress+">", "250")
	c.say("RCPT TO:<"+to+">", "250")
	c.say("DATA", "354")
	if _, err := fmt.Fprintf(c, "Subject: half\r\n\r\n%s", strings.Repeat("half a message\r\n", 10000)); err != nil {
		t.Fatal(err)
	}
	time.Sleep(300 * time.Millisecond)
	return c
}

// TestKillReceiver kills smap in the middle of DATA: nothing in new/, whoever started it.
func TestKillReceiver(t *testing.T) {
	t.Parallel()
	syslog(t)
	for _, how := range []string{"inetd", "listen"} {
		t.Run(how, func(t *testing.T) {
			s := newSite(t)
			s.rules("smap: hostname mx.system.test", "smap: local-domains system.test")
			var port int
			if how == "inetd" {
				port = startInetd(t, s)
			} else {
				port = freePort(t)
				start(t, program(t, "smap"), "-c", s.table, "-listen", local(port))
				listening(t, port)
			}
			c := openData(t, port, "bob@system.test")
			if s.count("tmp") == 0 {
				t.Error("the content should be in tmp/ by now")
			}
			for _, pid := range processes(t, "smap", s.table) {
				if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
					t.Error(err)
				}
			}
			c.SetReadDeadline(time.Now().Add(10 * time.Second)) //nolint:errcheck // the read below tells
			if line, err := c.in.ReadString('\n'); err == nil {
				t.Errorf("after the kill the client heard %q", line)
			}
			if n := s.names("new"); len(n) != 0 {
				t.Errorf("in new/: %v", n)
			}
		})
	}
}

// processes finds processes by their program's name and a word among their arguments.
func processes(t *testing.T, name, argument string) []int {
	t.Helper()
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	var found []int
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		comm, _ := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		line, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
		if strings.TrimSpace(string(comm)) == name && strings.Contains(string(line), argument) {
			found = append(found, pid)
		}
	}
	return found
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
	s := newSite(t)
	agent := newRecorder(t, s)
	who := newPerson(t, s.dir, "smt-crash")
	flag := s.file("calls", "hang")
	s.write(flag, "", 0o644)
	hang := s.write(s.file("agent"), strings.NewReplacer("FLAG", flag, "RECORDER", agent.program).Replace(hangScript), 0o755)
	s.rules("smapd: log stderr", "smapd: wakeup 1", "smapd: sendmail "+hang)
	first := start(t, program(t, "smapd"), "-c", s.table)
	feedShells(t, s, who, 1, 2)
	var hanging []int
	eventually(20*time.Second, func() bool {
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
	for _, pid := range first.children() {
		if !slices.Contains(hanging, pid) {
			syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // the child may end with its parent
		}
	}
	<-first.done
	if n := s.count("cur"); n != 4 {
		t.Errorf("cur/ holds %d files, want those of two messages", n)
	}
	if err := os.Remove(flag); err != nil {
		t.Fatal(err)
	}
	start(t, program(t, "smapd"), "-c", s.table)
	time.Sleep(3 * time.Second)
	if n := len(agent.names()); n > 0 {
		t.Errorf("%d messages were delivered beside living agents", n)
	}
	for _, pid := range hanging {
		if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
			t.Errorf("the agent died with smapd: %v", err)
		}
	}
	seen := map[string]int{}
	for _, c := range agent.wait(2, 15*time.Second) {
		matching(t, seen, c.sender(), c.content)
	}
	s.empty()
}
