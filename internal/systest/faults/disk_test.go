//go:build system

package faults

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// mountDisk puts the spool on a small disk of its own, an ext4 in a file.
func mountDisk(s *kit.Site, megabytes int) (image string) {
	s.T.Helper()
	image = s.Write(s.File("disk"), "", 0o600)
	if err := os.Truncate(image, int64(megabytes)<<20); err != nil {
		s.T.Fatal(err)
	}
	kit.Run(s.T, "mkfs.ext4", "-q", "-F", "-m", "0", image)
	mountAgain(s, image)
	s.T.Cleanup(func() {
		if out, err := exec.Command("umount", s.Spool).CombinedOutput(); err != nil {
			s.T.Errorf("umount: %v: %s", err, out)
		}
	})
	if err := os.Remove(s.Path("lost+found")); err != nil {
		s.T.Fatal(err)
	}
	s.MakeSpool()
	return image
}

func mountAgain(s *kit.Site, image string) { kit.Run(s.T, "mount", "-o", "loop", image, s.Spool) }

// fill takes every free block of the spool's disk, those too that are given back later, until it is ended.
func fill(s *kit.Site) (end func()) {
	s.T.Helper()
	path := s.Path("filler")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		s.T.Fatal(err)
	}
	full, stop, done := make(chan struct{}), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		defer f.Close()
		for size := 1 << 20; ; {
			_, err := f.Write(make([]byte, size))
			if err == nil {
				err = f.Sync() // blocks are given out late
			}
			switch {
			case err == nil:
				continue
			case !errors.Is(err, syscall.ENOSPC):
				s.T.Errorf("filling the disk: %v", err)
			case size > 4096:
				size = 4096
				continue
			}
			select {
			case <-full:
			default:
				close(full)
			}
			select {
			case <-stop:
				return
			case <-time.After(time.Millisecond):
			}
		}
	}()
	<-full
	return func() {
		close(stop)
		<-done
		if err := os.Remove(path); err != nil {
			s.T.Error(err)
		}
	}
}

// waitScript writes down who is about to get what, waits for a file, and refuses one recipient for good.
const waitScript = `echo "$SMAP_SENDER $SMAP_RECIPIENT" >>DIR/calls
while [ ! -e DIR/go ]; do sleep 0.05; done
case $SMAP_RECIPIENT in gone@*) echo no such user; exit 67 ;; esac
`

// newWaiter makes that agent and returns its directory.
func newWaiter(s *kit.Site) (agent, dir string) {
	dir = s.File("state")
	uid, gid := kit.IDs(s.T, kit.SmapdUser)
	s.Mkdir(dir, 0o755, uid, gid)
	return kit.WriteAgent(s, strings.ReplaceAll(waitScript, "DIR", dir)), dir
}

// calls are the lines that the waiter has written.
func waiterCalls(dir string) []string {
	b, _ := os.ReadFile(dir + "/calls") // nobody was called yet
	return strings.Fields(strings.ReplaceAll(string(b), " ", "/"))
}

// outcomes counts what is written down in cur and bad. An envelope may move while it is read, and counts at the next look.
func outcomes(s *kit.Site) (n int) {
	for _, box := range []string{"cur", "bad"} {
		names, _ := filepath.Glob(filepath.Join(s.Spool, box, "*.envelope")) // the pattern is right
		for _, name := range names {
			text, _ := os.ReadFile(name)
			n += strings.Count(string(text), "\nDelivered: ") + strings.Count(string(text), "\nFailed: ")
		}
	}
	return n
}

// agentsEnd waits until of a smapd only the parent and its child are left.
func agentsEnd(t *testing.T, smapd *kit.Process) {
	t.Helper()
	if !kit.Eventually(20*time.Second, func() bool { return len(smapd.Children()) == 2 }) {
		t.Errorf("smapd and its children are processes %v, want two", smapd.Children())
	}
}

// TestDiskFull fills the spool's disk while agents are at work. What came of each recipient is written down all the same,
// into the room reserved for it; nothing more is started without room. Then smapd is killed, so that only the disk
// knows: nobody gets a message twice, and all goes on when there is room.
func TestDiskFull(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	mountDisk(s, 16)
	agent, dir := newWaiter(s)
	s.Rules("smapd: log stderr", "smapd: badadmin none", "smapd: wakeup 1", "smapd: maxchildren 4", "smapd: batch 1", // three for one mailbox
		"smapd: agent exec "+agent)
	feeder := kit.OwnFeeder(t, s.Spool)
	const messages = 40
	var want []string
	for i := range messages {
		mark := fmt.Sprintf("m%d", i)
		feeder.Pair(mark, "gone@system.test", "bob@system.test", "carl@system.test")
		for _, to := range []string{"gone", "bob", "carl"} {
			want = append(want, mark+"@client.test/"+to+"@system.test")
		}
	}
	first := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	if !kit.Eventually(20*time.Second, func() bool { return len(waiterCalls(dir)) == 3 }) {
		t.Fatalf("%d agents were started, want 3", len(waiterCalls(dir)))
	}
	makeRoom := fill(s)
	s.Write(dir+"/go", "", 0o644)
	if !kit.Eventually(20*time.Second, func() bool { return strings.Contains(first.Log(), " trouble what=spool") }) {
		t.Error("the log does not say that the spool is in trouble")
	}
	agentsEnd(t, first)
	// A kill between an agent's end and its record may deliver twice: that is promised, and not what this test is about.
	if !kit.Eventually(20*time.Second, func() bool { return outcomes(s) == len(waiterCalls(dir)) }) {
		t.Errorf("%d outcomes are written of %d", outcomes(s), len(waiterCalls(dir)))
	}
	called := len(waiterCalls(dir))
	for _, pid := range first.Children() {
		syscall.Kill(pid, syscall.SIGKILL) //nolint:errcheck // the child may end with its parent
	}
	<-first.Done
	t.Logf("%d of %d recipients were called before the disk was full", called, len(want))

	second := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	if !kit.Eventually(20*time.Second, func() bool { return strings.Contains(second.Log(), " trouble what=spool") }) {
		t.Error("the second log does not say that the spool is in trouble")
	}
	kit.Stays(t, 2*time.Second, "no agent is started on a full disk, in the time of several probes", func() bool {
		return len(waiterCalls(dir)) == called
	})
	if n := strings.Count(second.Log(), " trouble what=spool"); n != 1 {
		t.Errorf("trouble was said %d times", n)
	}
	makeRoom()
	if !kit.Eventually(40*time.Second, func() bool { return s.Count("bad") == 2*messages }) { // one recipient of each was refused
		t.Errorf("in bad/: %v", s.Names("bad"))
	}
	s.Drained(10 * time.Second)
	if n := strings.Count(second.Log(), " healed what=spool"); n != 1 {
		t.Errorf("healed was said %d times", n)
	}
	got := waiterCalls(dir)
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("calls %v\nwant  %v", got, want)
	}
}

// TestDiskReadOnly: a spool that cannot be written when smapd starts is trouble that passes. One that breaks while agents
// are at work costs no mail: their messages are delivered again once the disk is mended, which is all that can be done.
func TestDiskReadOnly(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	image := mountDisk(s, 16)
	agent, dir := newWaiter(s)
	s.Rules("smapd: log stderr", "smapd: wakeup 1", "smapd: maxchildren 2", "smapd: agent exec "+agent)
	feeder := kit.OwnFeeder(t, s.Spool)
	for i := range 5 {
		feeder.Pair(fmt.Sprintf("m%d", i), "bob@system.test")
	}
	kit.Run(t, "mount", "-o", "remount,ro", s.Spool)
	first := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	if !kit.Eventually(20*time.Second, func() bool { return strings.Contains(first.Log(), " trouble what=spool") }) {
		t.Error("the log does not say that the spool is in trouble")
	}
	kit.Stays(t, time.Second, "one line about trouble and no agent started, in the time of a rescan", func() bool {
		return strings.Count(first.Log(), " trouble what=") == 1 && len(waiterCalls(dir)) == 0
	})
	kit.Run(t, "mount", "-o", "remount,rw", s.Spool)
	// One goes ahead to probe.
	if !kit.Eventually(40*time.Second, func() bool { return len(waiterCalls(dir)) > 0 }) {
		t.Error("no agent was started after the disk could be written again")
	}

	// What ext4 does when the disk fails. Only another mount ends it.
	kit.Run(t, "mount", "-o", "remount,abort", s.Spool)
	s.Write(dir+"/go", "", 0o644)
	agentsEnd(t, first)
	if code := first.Stop(); code == 0 {
		t.Error("smapd ended with 0 although outcomes could not be written")
	}
	kit.Run(t, "umount", s.Spool)
	// Corrected errors are exit 1.
	if out, err := exec.Command("e2fsck", "-fy", image).CombinedOutput(); err != nil && !strings.Contains(err.Error(), "exit status 1") {
		t.Fatalf("e2fsck: %v\n%s", err, out)
	}
	// A copy: the kernel keeps the broken file system as long as any process of this machine is still in it.
	mended := s.File("mended")
	kit.Run(t, "cp", "--sparse=always", image, mended)
	mountAgain(s, mended)
	kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	s.Drained(30 * time.Second)
	got := map[string]int{}
	for _, call := range waiterCalls(dir) {
		got[call]++
	}
	for i := range 5 {
		if call := fmt.Sprintf("m%d@client.test/bob@system.test", i); got[call] < 1 || got[call] > 2 {
			t.Errorf("%s: %d deliveries", call, got[call])
		}
	}
}
