//go:build system

package delivery

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"smap/internal/systest/kit"

	"golang.org/x/sys/unix"
)

// TestTwoMachines has a smapd on each of two machines drain one spool while both are fed. The machines are mounts of one
// file system that is served to two network namespaces over a network. Nothing is lost, nothing is delivered twice.
func TestTwoMachines(t *testing.T) {
	t.Parallel()
	for _, fs := range []struct {
		name     string
		messages int
		mount    func(t *testing.T, s *kit.Site, a, b string)
	}{
		{"moosefs", 400, func(t *testing.T, s *kit.Site, a, b string) { t.Helper(); mountMoose(t, s, a, b) }},
		{"bindfs", 400, mountBind},
	} {
		t.Run(fs.name, func(t *testing.T) {
			s := kit.NewSite(t)
			a, b := s.File("a"), s.File("b")
			s.Mkdir(a, 0o755, 0, 0)
			s.Mkdir(b, 0o755, 0, 0)
			fs.mount(t, s, a, b)
			twoMachines(t, s, a, b, fs.messages)
		})
	}
}

// machine is a site whose spool is seen at another place.
func machine(s *kit.Site, mount, name string, rules ...string) *kit.Site {
	m := &kit.Site{T: s.T, Dir: s.Dir, Spool: mount + "/spool", Table: s.File("table-" + name)}
	m.Rules(rules...)
	return m
}

func twoMachines(t *testing.T, s *kit.Site, a, b string, messages int) {
	t.Helper()
	agent := kit.NewLedger(t, s, "")
	rules := []string{"smapd: log stderr", "smapd: wakeup 1", "smapd: maxchildren 2", "smapd: agent exec " + agent.Program}
	left, right := machine(s, a, "a", rules...), machine(s, b, "b", rules...)
	left.MakeSpool()
	if !locksCross(t, left.Path("tmp", "lock"), right.Path("tmp", "lock")) {
		t.Fatal("a lock on one machine does not hold on the other: not for more than one drainer")
	}
	couriers := []*kit.Process{kit.Start(t, kit.Program(t, "smapd"), "-c", left.Table), kit.Start(t, kit.Program(t, "smapd"), "-c", right.Table)}
	var marks []string
	var wg sync.WaitGroup
	for name, m := range map[string]*kit.Site{"a": left, "b": right} {
		var own []string
		for i := range messages / 2 {
			own = append(own, fmt.Sprintf("%s%04d", name, i))
		}
		marks = append(marks, own...)
		wg.Go(func() {
			feeder := kit.OwnFeeder(t, m.Spool)
			for i, mark := range own {
				if i%5 == 4 {
					feeder.Drop(mark, "bob@system.test")
				} else {
					feeder.Pair(mark, "bob@system.test")
				}
				time.Sleep(5 * time.Millisecond)
			}
		})
	}
	wg.Wait()
	left.Drained(90 * time.Second)
	agent.Exactly(marks)
	if n := left.Count("bad"); n != 0 {
		t.Errorf("%d files were set aside", n)
	}
	first, second := strings.Count(couriers[0].Log(), " finished "), strings.Count(couriers[1].Log(), " finished ")
	t.Logf("one delivered %d, the other %d", first, second)
	if first == 0 || second == 0 {
		t.Error("one got nothing: nobody competed")
	}
	for _, c := range couriers {
		if n := strings.Count(c.Log(), " trouble "); n > 0 {
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
func mountBind(t *testing.T, s *kit.Site, a, b string) {
	t.Helper()
	real := s.File("real")
	s.Mkdir(real, 0o755, 0, 0)
	for _, at := range []string{a, b} {
		fuse(t, at, "bindfs", "-f", "--multithreaded", "--enable-lock-forwarding", real, at)
	}
}
