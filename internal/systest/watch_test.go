//go:build system

package systest

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestDirectoryMoved takes new/ away from a running smapd, puts it back, and then puts another one in its place: said
// once, and mail flows again, by events and not by the next rescan.
func TestDirectoryMoved(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	agent := newLedger(t, s, "")
	s.rules("smapd: log stderr", "smapd: wakeup 600", "smapd: agent exec "+agent.program)
	daemon := start(t, program(t, "smapd"), "-c", s.table)
	feeder := ownFeeder(t, s.spool)
	var marks []string
	deliver := func(mark string) {
		t.Helper()
		feeder.pair(mark, "bob@system.test")
		marks = append(marks, mark)
		began := time.Now()
		if !eventually(10*time.Second, func() bool { return strings.Contains(daemon.log(), "finished id="+mark) }) {
			t.Errorf("%s was not delivered", mark)
		}
		t.Logf("%s took %v", mark, time.Since(began).Round(time.Millisecond))
	}
	deliver("first")

	away := s.file("away")
	if err := os.Rename(s.path("new"), away); err != nil {
		t.Fatal(err)
	}
	if !eventually(5*time.Second, func() bool { return strings.Contains(daemon.log(), " spool-moved ") }) {
		t.Error("the log does not say that new/ is gone")
	}
	time.Sleep(2 * time.Second)
	if err := os.Rename(away, s.path("new")); err != nil {
		t.Fatal(err)
	}
	deliver("back")

	if err := os.Rename(s.path("new"), away); err != nil {
		t.Fatal(err)
	}
	s.makeSpool()
	deliver("other")
	deliver("another")
	s.drained(5 * time.Second)
	agent.exactly(marks)
	if n := strings.Count(daemon.log(), " spool-moved "); n != 2 {
		t.Errorf("spool-moved was said %d times, want 2", n)
	}
}

// TestNoInotify runs smapd where no inotify instance is to be had: rescans find the mail, which is said once. When there
// are some again, events come back.
func TestNoInotify(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	agent := newLedger(t, s, "")
	s.rules("smapd: log stderr", "smapd: wakeup 1", "smapd: agent exec "+agent.program)

	// The limit belongs to a user namespace: one with the same ids as outside takes it away from nobody else.
	const limit = "/proc/sys/user/max_inotify_instances"
	cmd := exec.Command("/bin/sh", "-c", `echo 0 >`+limit+` && exec "$@"`, "sh", program(t, "smapd"), "-c", s.table)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}, GidMappingsEnableSetgroups: true,
	}
	daemon := startCommand(t, cmd)
	if !eventually(10*time.Second, func() bool { return strings.Contains(daemon.log(), " watch-lost ") }) {
		t.Error("the log does not say that there are no events")
	}
	feeder := ownFeeder(t, s.spool)
	var marks []string
	for i := range 3 {
		marks = append(marks, fmt.Sprintf("rescan%d", i))
		feeder.pair(marks[i], "bob@system.test")
		if !eventually(5*time.Second, func() bool { return strings.Contains(daemon.log(), "finished id="+marks[i]) }) {
			t.Errorf("%s was not found by a rescan", marks[i])
		}
	}
	run(t, "nsenter", "--user", "--preserve-credentials", "--target", fmt.Sprint(daemon.cmd.Process.Pid), "/bin/sh", "-c", "echo 10 >"+limit)
	if !eventually(10*time.Second, func() bool { return strings.Contains(daemon.log(), " watch-back") }) {
		t.Error("the log does not say that events are back")
	}
	for _, event := range []string{" watch-lost ", " watch-back"} {
		if n := strings.Count(daemon.log(), event); n != 1 {
			t.Errorf("%s was said %d times", event, n)
		}
	}
	feeder.pair("event", "bob@system.test")
	s.drained(5 * time.Second)
	agent.exactly(append(marks, "event"))
}

// TestOverflow commits more messages than the kernel keeps events, while smapd stands still. None is forgotten, and
// memory stays what it is.
func TestOverflow(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	sink := newSink(t, true)
	s.rules("smapd: log stderr", "smapd: wakeup 600", "smapd: agent lmtp "+sink.addr)
	daemon := start(t, program(t, "smapd"), "-c", s.table)
	if !eventually(10*time.Second, func() bool { return strings.Contains(daemon.log(), " start ") }) {
		t.Fatal("smapd does not start")
	}
	const messages = 20000
	if queue := strings.TrimSpace(readFile(t, "/proc/sys/fs/inotify/max_queued_events")); len(queue) > 5 || queue > "39999" {
		t.Fatalf("the kernel keeps %s events: %d messages do not overflow that", queue, messages)
	}
	child := childOf(daemon.cmd.Process.Pid, 0)
	if err := syscall.Kill(child, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	feeder := ownFeeder(t, s.spool)
	marks := make([]string, messages)
	for i := range marks {
		marks[i] = fmt.Sprintf("m%05d", i)
		feeder.pair(marks[i], "bob@system.test")
	}
	if err := syscall.Kill(child, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.drained(4 * time.Minute) // five seconds on a quiet machine
	t.Logf("%d messages in %v, peak %d KiB", messages, time.Since(began).Round(time.Millisecond), memory(t, child, "VmHWM"))
	if kib := memory(t, child, "VmHWM"); kib > 64<<10 {
		t.Errorf("smapd took %d KiB", kib)
	}
	sink.exactly(marks)
}

// TestCourierNoDescriptors takes the descriptors away from a running smapd: trouble, said once, and nothing is set aside. When it
// has some again, all is delivered.
func TestCourierNoDescriptors(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	agent := newLedger(t, s, "")
	s.rules("smapd: log stderr", "smapd: wakeup 1", "smapd: agent exec "+agent.program)
	daemon := start(t, program(t, "smapd"), "-c", s.table)
	feeder := ownFeeder(t, s.spool)
	feeder.pair("before", "bob@system.test")
	marks := []string{"before"}
	s.drained(10 * time.Second)
	child := childOf(daemon.cmd.Process.Pid, 0)
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", child))
	if err != nil {
		t.Fatal(err)
	}
	uid, gid := ids(t, smapdUser) // its own user may, root without all its capabilities may not
	limit := func(n int) {
		t.Helper()
		if out, err := as(t, uid, gid, "prlimit", "--pid", fmt.Sprint(child), fmt.Sprintf("--nofile=%d:", n)); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for more := range 6 { // each time another step is the one that fails
		limit(len(open) + more)
		marks = append(marks, fmt.Sprintf("m%d", more))
		feeder.pair(marks[more+1], "bob@system.test")
		time.Sleep(700 * time.Millisecond)
	}
	if !strings.Contains(daemon.log(), " trouble what=") {
		t.Error("the log does not say that there is trouble")
	}
	limit(1024)
	s.drained(60 * time.Second)
	agent.exactly(marks)
	if n := s.count("bad"); n != 0 {
		t.Errorf("%d files were set aside", n)
	}
	if n := strings.Count(daemon.log(), " trouble what="); n > 12 {
		t.Errorf("trouble was said %d times", n)
	}
}
