//go:build system

package systest

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTwoMachines has a smapd on each of two machines drain one spool while both are fed. The machines are mounts of one
// file system that is served to two network namespaces over a network. Nothing is lost, nothing is delivered twice.
func TestTwoMachines(t *testing.T) {
	t.Parallel()
	for _, fs := range []struct {
		name     string
		messages int
		mount    func(t *testing.T, s *site, a, b string)
	}{
		{"moosefs", 400, mountMoose},
		{"bindfs", 400, mountBind},
	} {
		t.Run(fs.name, func(t *testing.T) {
			s := newSite(t)
			a, b := s.file("a"), s.file("b")
			s.mkdir(a, 0o755, 0, 0)
			s.mkdir(b, 0o755, 0, 0)
			fs.mount(t, s, a, b)
			twoMachines(t, s, a, b, fs.messages)
		})
	}
}

// machine is a site whose spool is seen at another place.
func machine(s *site, mount, name string, rules ...string) *site {
	m := &site{t: s.t, dir: s.dir, spool: mount + "/spool", table: s.file("table-" + name)}
	m.rules(rules...)
	return m
}

func twoMachines(t *testing.T, s *site, a, b string, messages int) {
	t.Helper()
	agent := newLedger(t, s, "")
	rules := []string{"smapd: log stderr", "smapd: wakeup 1", "smapd: maxchildren 2", "smapd: agent exec " + agent.program}
	left, right := machine(s, a, "a", rules...), machine(s, b, "b", rules...)
	left.makeSpool()
	if !locksCross(t, left.path("tmp", "lock"), right.path("tmp", "lock")) {
		t.Fatal("a lock on one machine does not hold on the other: not for more than one drainer")
	}
	couriers := []*process{start(t, program(t, "smapd"), "-c", left.table), start(t, program(t, "smapd"), "-c", right.table)}
	var marks []string
	var wg sync.WaitGroup
	for name, m := range map[string]*site{"a": left, "b": right} {
		var own []string
		for i := range messages / 2 {
			own = append(own, fmt.Sprintf("%s%04d", name, i))
		}
		marks = append(marks, own...)
		wg.Go(func() {
			feeder := ownFeeder(t, m.spool)
			for i, mark := range own {
				if i%5 == 4 {
					feeder.drop(mark, "bob@system.test")
				} else {
					feeder.pair(mark, "bob@system.test")
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	left.drained(90 * time.Second)
	agent.exactly(marks)
	if n := left.count("bad"); n != 0 {
		t.Errorf("%d files were set aside", n)
	}
	first, second := strings.Count(couriers[0].log(), " finished "), strings.Count(couriers[1].log(), " finished ")
	t.Logf("one delivered %d, the other %d", first, second)
	if first == 0 || second == 0 {
		t.Error("one got nothing: nobody competed")
	}
	for _, c := range couriers {
		if n := strings.Count(c.log(), " trouble "); n > 0 {
			t.Errorf("trouble was said %d times", n)
		}
	}
}

// locksCross tells whether a lock on a file keeps another mount's program out.
func locksCross(t *testing.T, one, other string) bool {
	t.Helper()
	open := func(path string, flags int) *os.File {
		f, err := os.OpenFile(path, flags, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	f := open(one, os.O_CREATE|os.O_RDWR)
	defer os.Remove(one)
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	g := open(other, os.O_RDWR)
	defer g.Close()
	err := unix.Flock(int(g.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err != nil && !errors.Is(err, unix.EWOULDBLOCK) {
		t.Fatal(err)
	}
	return err != nil
}

// mountBind mounts one directory twice with bindfs, which hands locks on only when it is told to.
func mountBind(t *testing.T, s *site, a, b string) {
	t.Helper()
	real := s.file("real")
	s.mkdir(real, 0o755, 0, 0)
	for _, at := range []string{a, b} {
		fuse(t, at, "bindfs", "-f", "--multithreaded", "--enable-lock-forwarding", real, at)
	}
}

// fuse starts a program that mounts there, and waits for it.
func fuse(t *testing.T, at, name string, args ...string) {
	t.Helper()
	start(t, name, args...)
	t.Cleanup(func() { // before the program is ended
		if out, err := exec.Command("umount", at).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", at, err, out)
		}
	})
	if !eventually(15*time.Second, func() bool { return exec.Command("mountpoint", "-q", at).Run() == nil }) {
		t.Fatalf("%s does not mount %s", name, at)
	}
}
