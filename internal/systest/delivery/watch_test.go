//go:build system

package delivery

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestDirectoryMoved takes new/ away from a running smapd, puts it back, and then puts another one in its place: said
// once, and mail flows again, by events and not by the next rescan.
func TestDirectoryMoved(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	agent := kit.NewLedger(t, s, "")
	s.Rules("smapd: log stderr", "smapd: wakeup 600", "smapd: agent exec "+agent.Program)
	daemon := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	feeder := kit.OwnFeeder(t, s.Spool)
	var marks []string
	deliver := func(mark string) {
		t.Helper()
		feeder.Pair(mark, "bob@system.test")
		marks = append(marks, mark)
		began := time.Now()
		if !kit.Eventually(10*time.Second, func() bool { return strings.Contains(daemon.Log(), "finished id="+mark) }) {
			t.Errorf("%s was not delivered", mark)
		}
		t.Logf("%s took %v", mark, time.Since(began).Round(time.Millisecond))
	}
	deliver("first")

	away := s.File("away")
	if err := os.Rename(s.Path("new"), away); err != nil {
		t.Fatal(err)
	}
	if !kit.Eventually(5*time.Second, func() bool { return strings.Contains(daemon.Log(), " spool-moved ") }) {
		t.Error("the log does not say that new/ is gone")
	}
	kit.Stays(t, 2*time.Second, "one line for a spool that smapd looks for every second", func() bool {
		return strings.Count(daemon.Log(), " spool-moved ") == 1
	})
	if err := os.Rename(away, s.Path("new")); err != nil {
		t.Fatal(err)
	}
	deliver("back")

	if err := os.Rename(s.Path("new"), away); err != nil {
		t.Fatal(err)
	}
	s.MakeSpool()
	deliver("other")
	deliver("another")
	s.Drained(5 * time.Second)
	agent.Exactly(marks)
	if n := strings.Count(daemon.Log(), " spool-moved "); n != 2 {
		t.Errorf("spool-moved was said %d times, want 2", n)
	}
}

// TestNoInotify runs smapd where no inotify instance is to be had: rescans find the mail, which is said once. When there
// are some again, events come back.
func TestNoInotify(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	agent := kit.NewLedger(t, s, "")
	s.Rules("smapd: log stderr", "smapd: wakeup 1", "smapd: agent exec "+agent.Program)

	// The limit belongs to a user namespace: one with the same ids as outside takes it away from nobody else.
	const limit = "/proc/sys/user/max_inotify_instances"
	cmd := exec.Command("/bin/sh", "-c", `echo 0 >`+limit+` && exec "$@"`, "sh", kit.Program(t, "smapd"), "-c", s.Table)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: 0, Size: 65536}}, GidMappingsEnableSetgroups: true,
	}
	daemon := kit.StartCommand(t, cmd)
	if !kit.Eventually(10*time.Second, func() bool { return strings.Contains(daemon.Log(), " watch-lost ") }) {
		t.Error("the log does not say that there are no events")
	}
	feeder := kit.OwnFeeder(t, s.Spool)
	var marks []string
	for i := range 3 {
		marks = append(marks, fmt.Sprintf("rescan%d", i))
		feeder.Pair(marks[i], "bob@system.test")
		if !kit.Eventually(5*time.Second, func() bool { return strings.Contains(daemon.Log(), "finished id="+marks[i]) }) {
			t.Errorf("%s was not found by a rescan", marks[i])
		}
	}
	kit.Run(t, "nsenter", "--user", "--preserve-credentials", "--target", fmt.Sprint(daemon.Cmd.Process.Pid), "/bin/sh", "-c", "echo 10 >"+limit)
	if !kit.Eventually(10*time.Second, func() bool { return strings.Contains(daemon.Log(), " watch-back") }) {
		t.Error("the log does not say that events are back")
	}
	for _, event := range []string{" watch-lost ", " watch-back"} {
		if n := strings.Count(daemon.Log(), event); n != 1 {
			t.Errorf("%s was said %d times", event, n)
		}
	}
	feeder.Pair("event", "bob@system.test")
	s.Drained(5 * time.Second)
	agent.Exactly(append(marks, "event"))
}

// TestOverflow commits more messages than the kernel keeps events, while smapd stands still. None is forgotten, and
// memory stays what it is.
func TestOverflow(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	sink := kit.NewSink(t, true)
	s.Rules("smapd: log stderr", "smapd: wakeup 600", "smapd: agent lmtp "+sink.Addr)
	daemon := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	if !kit.Eventually(10*time.Second, func() bool { return strings.Contains(daemon.Log(), " start ") }) {
		t.Fatal("smapd does not start")
	}
	const messages = 20000
	if queue := strings.TrimSpace(kit.ReadFile(t, "/proc/sys/fs/inotify/max_queued_events")); len(queue) > 5 || queue > "39999" {
		t.Fatalf("the kernel keeps %s events: %d messages do not overflow that", queue, messages)
	}
	child := kit.ChildOf(daemon.Cmd.Process.Pid, 0)
	if err := syscall.Kill(child, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	feeder := kit.OwnFeeder(t, s.Spool)
	marks := make([]string, messages)
	for i := range marks {
		marks[i] = fmt.Sprintf("m%05d", i)
		feeder.Pair(marks[i], "bob@system.test")
	}
	if err := syscall.Kill(child, syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s.Drained(4 * time.Minute) // five seconds on a quiet machine
	t.Logf("%d messages in %v, peak %d KiB", messages, time.Since(began).Round(time.Millisecond), kit.Memory(t, child, "VmHWM"))
	if kib := kit.Memory(t, child, "VmHWM"); kib > 64<<10 {
		t.Errorf("smapd took %d KiB", kib)
	}
	sink.Exactly(marks)
}

// TestCourierNoDescriptors takes the descriptors away from a running smapd: trouble, said once, and nothing is set aside. When it
// has some again, all is delivered.
func TestCourierNoDescriptors(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	agent := kit.NewLedger(t, s, "")
	s.Rules("smapd: log stderr", "smapd: wakeup 1", "smapd: agent exec "+agent.Program)
	daemon := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	feeder := kit.OwnFeeder(t, s.Spool)
	feeder.Pair("before", "bob@system.test")
	marks := []string{"before"}
	s.Drained(10 * time.Second)
	child := kit.ChildOf(daemon.Cmd.Process.Pid, 0)
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", child))
	if err != nil {
		t.Fatal(err)
	}
	uid, gid := kit.IDs(t, kit.SmapdUser) // its own user may, root without all its capabilities may not
	limit := func(n int) {
		t.Helper()
		if out, err := kit.As(t, uid, gid, "prlimit", "--pid", fmt.Sprint(child), fmt.Sprintf("--nofile=%d:", n)); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	for more := range 6 { // each time another step is the one that fails
		limit(len(open) + more)
		marks = append(marks, fmt.Sprintf("m%d", more))
		feeder.Pair(marks[more+1], "bob@system.test")
		// Time for some attempts. In trouble, smapd says nothing more.
		kit.Eventually(700*time.Millisecond, func() bool { return strings.Contains(daemon.Log(), "finished id="+marks[more+1]) })
	}
	if !strings.Contains(daemon.Log(), " trouble what=") {
		t.Error("the log does not say that there is trouble")
	}
	limit(1024)
	s.Drained(60 * time.Second)
	agent.Exactly(marks)
	if n := s.Count("bad"); n != 0 {
		t.Errorf("%d files were set aside", n)
	}
	if n := strings.Count(daemon.Log(), " trouble what="); n > 12 {
		t.Errorf("trouble was said %d times", n)
	}
}
