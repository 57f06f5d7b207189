//go:build system

package delivery

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// deferred makes that many messages in cur/ that wait for an attempt in an hour or later. Many names share a file, which
// only makes the test quicker: before their time nobody looks at more than a name and its time.
func deferred(s *kit.Site, messages int) {
	s.T.Helper()
	const sharing = 200
	uid, gid := kit.IDs(s.T, kit.SmapdUser)
	due := time.Now().Add(time.Hour)
	stem := ""
	for i := range messages {
		first := stem
		stem = s.Path("cur", fmt.Sprintf("20261101T000000Z-deferred%06d", i))
		if i%sharing != 0 {
			if err := errors.Join(os.Link(first+".eml", stem+".eml"), os.Link(first+".envelope", stem+".envelope")); err != nil {
				s.T.Fatal(err)
			}
			continue
		}
		kit.Put(s.T, stem+".eml", "")
		kit.Put(s.T, stem+".envelope", kit.GoodHead+"Size: 0\nAttempts: 3\n\n")
		at := due.Add(time.Duration(i) * time.Millisecond)
		if err := errors.Join(os.Chown(stem+".eml", uid, gid), os.Chown(stem+".envelope", uid, gid), os.Chtimes(stem+".envelope", at, at)); err != nil {
			s.T.Fatal(err)
		}
	}
}

// TestBacklog starts smapd on 200,000 deferred messages: the first new one is delivered within two seconds, in at most 64
// MiB, and a rescan costs what it costs, which is printed.
func TestBacklog(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	kit.Run(t, "mount", "-t", "tmpfs", "-o", "size=2g", "spool", s.Spool) // quick to make, and to remove
	t.Cleanup(func() {
		if out, err := exec.Command("umount", s.Spool).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	s.MakeSpool()
	const messages = 200_000
	began := time.Now()
	deferred(s, messages)
	t.Logf("%d deferred messages made in %v", messages, time.Since(began).Round(time.Millisecond))
	agent := kit.NewLedger(t, s, "")
	s.Rules("smapd: log stderr", "smapd: wakeup 600", "smapd: agent exec "+agent.Program)
	feeder := kit.OwnFeeder(t, s.Spool)
	feeder.Pair("first", "bob@system.test")

	daemon := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	if !kit.Eventually(time.Minute, func() bool { return strings.Contains(daemon.Log(), " ready ") }) {
		t.Fatal("smapd does not start")
	}
	began = time.Now()
	if !kit.Eventually(20*time.Second, func() bool { return strings.Contains(daemon.Log(), "finished id=first ") }) {
		t.Fatal("the new message is not delivered")
	}
	took := time.Since(began)
	child := kit.ChildOf(daemon.Cmd.Process.Pid, 0)
	t.Logf("delivered %v after the start", took.Round(time.Millisecond))
	if took > 2*time.Second {
		t.Errorf("the first delivery took %v, more than 2 s", took)
	}

	// Wait for the first scan of cur/ to end, then ask for more.
	const rescans = 3
	before := settled(t, child)
	for range rescans {
		daemon.Signal(syscall.SIGUSR1)
		settled(t, child)
	}
	t.Logf("a rescan of %d files costs %v of CPU time; peak %d KiB", 2*messages, (cpuTime(t, child)-before)/rescans, kit.Memory(t, child, "VmHWM"))
	began = time.Now()
	daemon.Signal(syscall.SIGUSR1)
	feeder.Pair("during", "bob@system.test")
	if !kit.Eventually(5*time.Second, func() bool { return strings.Contains(daemon.Log(), "finished id=during ") }) {
		t.Error("a message that came during a rescan is not delivered")
	}
	t.Logf("delivered during a rescan after %v", time.Since(began).Round(time.Millisecond))
	if kib := kit.Memory(t, child, "VmHWM"); kib > 64<<10 {
		t.Errorf("smapd took %d KiB, more than 64 MiB", kib)
	}
	if !kit.Eventually(5*time.Second, func() bool { return s.Count("cur") == 2*messages }) {
		t.Errorf("cur/ holds %d files, want %d", s.Count("cur"), 2*messages)
	}
	agent.Exactly([]string{"first", "during"})
}

// cpuTime is what a process has used so far.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	_, rest, _ := strings.Cut(kit.ReadFile(t, fmt.Sprintf("/proc/%d/stat", pid)), ") ")
	f := strings.Fields(rest) // from field 3 on
	ticks := 0
	for _, field := range []string{f[11], f[12]} {
		n, err := strconv.Atoi(field)
		if err != nil {
			t.Fatal(err)
		}
		ticks += n
	}
	return time.Duration(ticks) * 10 * time.Millisecond
}

// settled waits until a process uses no more time, and gives what it has used.
func settled(t *testing.T, pid int) time.Duration {
	t.Helper()
	last, quiet := cpuTime(t, pid), 0
	kit.Eventually(60*time.Second, func() bool {
		now := cpuTime(t, pid)
		quiet++
		if now != last {
			last, quiet = now, 0
		}
		return quiet > 30
	})
	return last
}
