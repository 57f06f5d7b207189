//go:build system

package crash

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

const (
	stormTime  = 20 * time.Second // at least, and until there were that many kills
	stormMost  = time.Minute
	stormKills = 200
	stormLanes = 2
	stormPause = 20 * time.Millisecond // between three messages
)

// TestCrashStorm kills smapd, the child, the parent or both, at random moments while thousands of messages flow. Each
// is delivered at least once; again only when its agent had finished before, and no more often than a kill can explain.
func TestCrashStorm(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	agent := kit.NewLedger(t, s, `case $$ in *7) sleep 0.05 ;; esac`)
	const children = 4
	s.Rules("smapd: log stderr", "smapd: wakeup 1", fmt.Sprint("smapd: maxchildren ", children), "smapd: badadmin none",
		"smapd: agent exec "+agent.Program)
	log, err := os.OpenFile(s.File("log"), os.O_CREATE|os.O_APPEND|os.O_RDWR, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("the log:\n%s", kit.Tail(kit.ReadFile(t, s.File("log")), 8000))
		}
	})

	storm := &storm{s: s, program: kit.Program(t, "smapd"), log: log, began: time.Now()}
	var wg sync.WaitGroup
	for range stormLanes {
		wg.Go(func() { storm.lane(t) })
	}
	var fed []string
	own, other := kit.OwnFeeder(t, s.Spool), kit.OtherFeeder(t, s.Spool)
	for i := 0; !storm.over(); i++ {
		mark := fmt.Sprintf("m%05d", i)
		switch i % 3 {
		case 0:
			own.Pair(mark, "bob@system.test")
		case 1:
			other.Pair(mark, "bob@system.test")
		case 2:
			own.Drop(mark, "bob@system.test")
			time.Sleep(stormPause)
		}
		fed = append(fed, mark)
	}
	wg.Wait()
	if n := storm.kills.Load(); n < stormKills {
		t.Errorf("only %d kills", n)
	}

	courier := kit.Start(t, storm.program, "-c", s.Table)
	left := func() int { return s.Count("new") + s.Count("cur") }
	if !kit.Eventually(time.Minute, func() bool { return left() == 0 }) {
		t.Errorf("left in new/: %v, in cur/: %v", s.Names("new"), s.Names("cur"))
	}
	courier.Stop()
	if n := s.Count("bad"); n != 0 {
		t.Errorf("%d files were set aside", n)
	}
	seen, again := agent.Deliveries(), 0
	for _, mark := range fed {
		if seen[mark] == 0 {
			t.Errorf("%s is lost", mark)
		}
		again += max(seen[mark]-1, 0)
	}
	t.Logf("%d kills; %d messages, %d delivered again; %d files left in tmp/", storm.kills.Load(), len(fed), again, s.Count("tmp"))
	if most := int(storm.kills.Load()) * children; again > most {
		t.Errorf("%d deliveries were repeated, %d kills explain no more than %d", again, storm.kills.Load(), most)
	}
}

// A storm starts smapd and kills it, again and again.
type storm struct {
	s       *kit.Site
	program string
	log     *os.File
	began   time.Time
	kills   atomic.Int64
}

func (st *storm) over() bool {
	lasted := time.Since(st.began)
	return lasted > stormMost || lasted > stormTime && st.kills.Load() >= stormKills
}

func (st *storm) lane(t *testing.T) {
	for !st.over() {
		parent := exec.Command(st.program, "-c", st.s.Table)
		parent.Stderr = st.log
		if err := parent.Start(); err != nil {
			t.Error(err)
			return
		}
		child := kit.ChildOf(parent.Process.Pid, 0)
		rest()
		switch rand.IntN(10) {
		case 0: // the parent starts another one, after a second
			st.kill(t, child)
			child = kit.ChildOf(parent.Process.Pid, child)
			rest()
			st.kill(t, child)
			st.kill(t, parent.Process.Pid)
		case 1, 2, 3: // the child notices, and works beside the next one until it has ended
			st.kill(t, parent.Process.Pid)
		default:
			st.kill(t, parent.Process.Pid)
			st.kill(t, child)
		}
		parent.Wait() //nolint:errcheck // it was killed
	}
}

func rest() { time.Sleep(time.Duration(rand.IntN(120)) * time.Millisecond) }

func (st *storm) kill(t *testing.T, pid int) {
	if pid == 0 {
		return
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
		t.Error(err)
	}
	st.kills.Add(1)
}
