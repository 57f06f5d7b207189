//go:build system

package install

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestDetach starts smapd as a start-up script does: it comes back when mail is being delivered, leaves a pid file with
// a process that survives it, logs to syslog, reloads on HUP, and takes the pid file away at its end.
func TestDetach(t *testing.T) {
	t.Parallel()
	log := kit.Syslog(t)
	s := kit.NewSite(t)
	r := kit.NewRecorder(t, s)
	s.Rules("smapd: badadmin none", "smapd: agent exec "+r.Program)
	command := func(args ...string) (string, error) {
		cmd := exec.Command(kit.Program(t, "smapd"), args...)
		cmd.Dir = s.Dir
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := command("-d", "-c", "netperm-table", "-p", "nowhere/pid"); err == nil || !strings.Contains(out, "did not start") {
		t.Errorf("an impossible pid file: %v, %q", err, out)
	}
	if out, err := command("-d", "-c", "netperm-table", "-p", "pid"); err != nil || out != "" {
		t.Fatalf("%v: %s", err, out)
	}
	text, err := os.ReadFile(s.File("pid"))
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
	if out, err := command("-d", "-c", "netperm-table", "-p", "pid"); err == nil || !strings.Contains(out, "smapd is already running, as process "+strconv.Itoa(pid)) {
		t.Errorf("a second one with the same pid file: %v, %q", err, out)
	}
	feeder := kit.OwnFeeder(t, s.Spool)
	feeder.Pair("detach-first", "bob@system.test")
	r.Wait(1, 20*time.Second)
	if err := syscall.Kill(pid, syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	feeder.Pair("detach-second", "bob@system.test")
	r.Wait(2, 20*time.Second)
	if len(log.Find("smapd", "finished", "detach-first")) != 1 {
		t.Error("syslog has no line of the first message")
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if !kit.Eventually(20*time.Second, func() bool { return syscall.Kill(pid, 0) != nil }) {
		t.Fatal("does not end")
	}
	if _, err := os.Stat(s.File("pid")); !os.IsNotExist(err) {
		t.Errorf("the pid file: %v", err)
	}
	s.Empty()
}
