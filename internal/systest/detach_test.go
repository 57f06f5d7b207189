//go:build system

package systest

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDetach starts smapd as a start-up script does: it comes back when mail is being delivered, leaves a pid file with
// a process that survives it, logs to syslog, reloads on HUP, and takes the pid file away at its end.
func TestDetach(t *testing.T) {
	t.Parallel()
	log := syslog(t)
	s := newSite(t)
	r := newRecorder(t, s)
	s.rules("smapd: badadmin none", "smapd: agent exec "+r.program)
	command := func(args ...string) (string, error) {
		cmd := exec.Command(program(t, "smapd"), args...)
		cmd.Dir = s.dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := command("-d", "-c", "netperm-table", "-p", "nowhere/pid"); err == nil || !strings.Contains(out, "did not start") {
		t.Errorf("an impossible pid file: %v, %q", err, out)
	}
	if out, err := command("-d", "-c", "netperm-table", "-p", "pid"); err != nil || out != "" {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(s.file("pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSuffix(string(text), "\n"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Kill(-pid, syscall.SIGKILL) }) //nolint:errcheck // gone already, unless the test failed
	if sid, _, errno := syscall.RawSyscall(syscall.SYS_GETSID, uintptr(pid), 0, 0); errno != 0 || int(sid) != pid {
		t.Errorf("process %d leads no session: %d %v", pid, sid, errno)
	}
	if out, err := command("-d", "-c", "netperm-table", "-p", "pid"); err == nil || !strings.Contains(out, "did not start") {
		t.Errorf("a second one with the same pid file: %v, %q", err, out)
	}
	feeder := ownFeeder(t, s.spool)
	feeder.pair("detach-first", "bob@system.test")
	r.wait(1, 20*time.Second)
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	feeder.pair("detach-second", "bob@system.test")
	r.wait(2, 20*time.Second)
	if len(log.find("smapd", "finished", "detach-first")) != 1 {
		t.Error("syslog has no line of the first message")
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !eventually(20*time.Second, func() bool { return syscall.Kill(pid, 0) != nil }) {
		t.Fatal("does not end")
	}
	if _, err := os.Stat(s.file("pid")); !os.IsNotExist(err) {
		t.Errorf("the pid file: %v", err)
	}
	s.empty()
}
