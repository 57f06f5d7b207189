//go:build system

package systest

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
)

// deferred makes that many messages in cur/ that wait for an attempt in an hour or later. Many names share a file, which
// only makes the test quicker: before their time nobody looks at more than a name and its time.
func (s *site) deferred(messages int) {
	s.t.Helper()
	const sharing = 200
	uid, gid := ids(s.t, smapdUser)
	due := time.Now().Add(time.Hour)
	stem := ""
	for i := range messages {
		first := stem
		stem = s.path("cur", fmt.Sprintf("20261101T000000Z-deferred%06d", i))
		if i%sharing != 0 {
			if err := errors.Join(os.Link(first+".eml", stem+".eml"), os.Link(first+".envelope", stem+".envelope")); err != nil {
				s.t.Fatal(err)
			}
			continue
		}
		put(s.t, stem+".eml", "")
		put(s.t, stem+".envelope", goodHead+"Size: 0\nAttempts: 3\n\n")
		at := due.Add(time.Duration(i) * time.Millisecond)
		if err := errors.Join(os.Chown(stem+".eml", uid, gid), os.Chown(stem+".envelope", uid, gid), os.Chtimes(stem+".envelope", at, at)); err != nil {
			s.t.Fatal(err)
		}
	}
}

// TestBacklog starts smapd on 200,000 deferred messages: the first new one is delivered within two seconds, in at most 64
// MiB, and a rescan costs what it costs, which is printed.
func TestBacklog(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	run(t, "mount", "-t", "tmpfs", "-o", "size=2g", "spool", s.spool) // quick to make, and to remove
	t.Cleanup(func() {
		if out, err := exec.Command("umount", s.spool).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	s.makeSpool()
	const messages = 200_000
	began := time.Now()
	s.deferred(messages)
	t.Logf("%d deferred messages made in %v", messages, time.Since(began).Round(time.Millisecond))
	agent := newLedger(t, s, "")
	s.rules("smapd: log stderr", "smapd: wakeup 600", "smapd: agent exec "+agent.program)
	feeder := ownFeeder(t, s.spool)
	feeder.pair("first", "bob@system.test")

	began = time.Now()
	daemon := start(t, program(t, "smapd"), "-c", s.table)
	if !eventually(20*time.Second, func() bool { return strings.Contains(daemon.log(), "finished id=first ") }) {
		t.Fatal("the new message is not delivered")
	}
	took := time.Since(began)
	child := childOf(daemon.cmd.Process.Pid, 0)
	t.Logf("delivered %v after the start", took.Round(time.Millisecond))
	if took > 2*time.Second {
		t.Errorf("the first delivery took %v, more than 2 s", took)
	}

	// Wait for the first scan of cur/ to end, then ask for more.
	const rescans = 3
	before := settled(t, child)
	for range rescans {
		daemon.signal(syscall.SIGUSR1)
		settled(t, child)
	}
	t.Logf("a rescan of %d files costs %v of CPU time; peak %d KiB", 2*messages, (cpuTime(t, child)-before)/rescans, memory(t, child, "VmHWM"))
	began = time.Now()
	daemon.signal(syscall.SIGUSR1)
	feeder.pair("during", "bob@system.test")
	if !eventually(5*time.Second, func() bool { return strings.Contains(daemon.log(), "finished id=during ") }) {
		t.Error("a message that came during a rescan is not delivered")
	}
	t.Logf("delivered during a rescan after %v", time.Since(began).Round(time.Millisecond))
	if kib := memory(t, child, "VmHWM"); kib > 64<<10 {
		t.Errorf("smapd took %d KiB, more than 64 MiB", kib)
	}
	if !eventually(5*time.Second, func() bool { return s.count("cur") == 2*messages }) {
		t.Errorf("cur/ holds %d files, want %d", s.count("cur"), 2*messages)
	}
	agent.exactly([]string{"first", "during"})
}

// cpuTime is what a process has used so far.
func cpuTime(t *testing.T, pid int) time.Duration {
	t.Helper()
	_, rest, _ := strings.Cut(readFile(t, fmt.Sprintf("/proc/%d/stat", pid)), ") ")
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
	eventually(60*time.Second, func() bool {
		now := cpuTime(t, pid)
		quiet++
		if now != last {
			last, quiet = now, 0
		}
		return quiet > 30
	})
	return last
}
