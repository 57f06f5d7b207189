//go:build system

package crash

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"smap/internal/systest/kit"
	"strconv"
	"sync"
	"testing"
	"time"
)

// cutKinds are the file systems whose power is cut.
var cutKinds = []string{"ext4", "xfs", "btrfs"}

// cutCount is how often, for each: CUTS in the environment, or few.
func cutCount(t *testing.T) int {
	t.Helper()
	n, err := strconv.Atoi(cmp.Or(os.Getenv("CUTS"), "10"))
	if err != nil || n < 1 {
		t.Fatalf("CUTS=%s is no number of cuts", os.Getenv("CUTS"))
	}
	return n
}

// Two cuts are looked at in one moment, besides those whose smapd only waits: of a message that was moved and has both
// names after a cut, as btrfs leaves many, it wants to see for a minute that nobody else is at work on it.
const (
	cutBusy    = 2
	cutWaiting = 32
	cutSettled = 2 * time.Second // after that, smapd waits
)

// A cut is one moment at which the power failed, and what must have been true then.
type cut struct {
	image     string
	at        time.Time
	acked     []string             // what clients had been told is accepted
	delivered map[string]time.Time // what the agent had, and since when
}

// result is what was found after a cut.
type result struct {
	waiting, recovered, again int
	torn                      int // set aside: no client was told of them
	wrong                     []string
}

// cutRun is smap and smapd at work on a disk that is cut.
type cutRun struct {
	*kit.Site
	disk   *cutDisk
	acked  acknowledged
	live   taker
	stop   chan struct{}
	wg     sync.WaitGroup
	checks []*cutCheck
}

// noSync are the words before smap's own that start it under a strace that answers each sync in the kernel's place.
func noSync() []string {
	const calls = "fsync,fdatasync,syncfs,sync_file_range"
	return []string{"strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + calls, "-e", "inject=" + calls + ":retval=0"}
}

// newCutRun starts them, or, with a planted defect, a smap that syncs nothing. What strace puts in the place of a call
// is none that smap's own filter of system calls would let pass: that smap has no sandbox.
func newCutRun(t *testing.T, kind string, planted bool) *cutRun {
	t.Helper()
	r := &cutRun{Site: kit.NewSite(t), stop: make(chan struct{})}
	r.live.delay = 40 * time.Millisecond
	r.live.hold = r.littleAtStake // so that there is always something to lose
	r.disk = newCutDisk(r.Site, kind)
	for i := range cutWaiting {
		r.checks = append(r.checks, newCutCheck(r.Site, i))
	}
	port := kit.FreePort(t)
	sandbox, words := "strict", []string(nil)
	if planted {
		sandbox, words = "off", noSync()
	}
	r.Rules("smap: sandbox "+sandbox, "smap: hostname mx.system.test", "smap: local-domains system.test", "smap, smapd: log stderr", "smap: minfree 0",
		"smapd: badadmin none", "smapd: wakeup 1", "smapd: agent lmtp "+kit.NewSinkTo(t, true, r.live.take).Addr)
	words = append(words, kit.Program(t, "smap"), "-c", r.Table, "-listen", kit.Local(port))
	smap := kit.Start(t, words[0], words[1:]...)
	t.Cleanup(smap.Kill) // strace does not end on TERM
	kit.Start(t, kit.Program(t, "smapd"), "-c", r.Table)
	kit.Listening(t, port)
	for i := range 8 {
		r.wg.Go(func() {
			if err := r.client(i, port); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	t.Cleanup(func() { close(r.stop); r.wg.Wait() })
	return r
}

// atStake is how many accepted messages have not reached the agent whenever the power fails, about: where smap is slow,
// as under strace, nothing would be left to lose at many cuts.
const atStake = 10

// littleAtStake keeps the agent from being faster than the clients are.
func (r *cutRun) littleAtStake() bool {
	select {
	case <-r.stop:
		return false
	default:
		return len(r.acked.all())-r.live.count() < atStake
	}
}

// cuts makes that many, each at a random moment and after an acknowledgement since the last, and looks at them.
func (r *cutRun) cuts(n int) []result {
	r.T.Helper()
	idle := make(chan *cutCheck, len(r.checks))
	for _, c := range r.checks {
		idle <- c
	}
	busy := make(chan struct{}, cutBusy)
	results := make([]result, n)
	var wg sync.WaitGroup
	defer wg.Wait()
	had := 0
	for i := range n {
		busy <- struct{}{}
		check := <-idle
		if !kit.Eventually(time.Minute, func() bool { return len(r.acked.all()) > had && !r.littleAtStake() }) {
			r.T.Fatal("too few messages were accepted in a minute")
		}
		time.Sleep(rand.N(60 * time.Millisecond))
		c, err := r.cut(filepath.Join(r.disk.host, fmt.Sprint("cut", i)))
		if err != nil {
			r.T.Fatal(err)
		}
		had = len(c.acked)
		wg.Go(func() {
			leave := sync.OnceFunc(func() { <-busy })
			defer leave()
			defer time.AfterFunc(cutSettled, leave).Stop()
			var err error
			if results[i], err = check.look(r.disk, c); err != nil {
				r.T.Errorf("cut %d: %v", i, err)
			}
			idle <- check
		})
	}
	wg.Wait()
	return results
}

// cut takes the acknowledgements first: what was said before the moment must be there after it. No delivery is
// recorded in the meantime, so that each was either before the moment or can only be answered after it.
func (r *cutRun) cut(image string) (cut, error) {
	r.live.mu.Lock()
	defer r.live.mu.Unlock()
	c := cut{image: image, at: time.Now(), acked: r.acked.all(), delivered: maps.Clone(r.live.since)}
	return c, r.disk.cut(image)
}

// cutCheck recovers a copy: a smapd with a table and an agent of its own.
type cutCheck struct {
	*kit.Site
	smapd string
	got   taker
}

func newCutCheck(s *kit.Site, i int) *cutCheck {
	dir := s.File(fmt.Sprint("check", i))
	c := &cutCheck{Site: &kit.Site{T: s.T, Dir: dir, Spool: filepath.Join(dir, "spool"), Table: filepath.Join(dir, "netperm-table")},
		smapd: kit.Program(s.T, "smapd")}
	c.Mkdir(c.Spool, 0o755, 0, 0)
	c.Rules("smapd: log stderr", "smapd: badadmin none", "smapd: agent lmtp "+kit.NewSinkTo(s.T, true, c.got.take).Addr)
	return c
}

// look recovers what a cut left and compares.
func (c *cutCheck) look(d *cutDisk, cut cut) (result, error) {
	c.got.reset()
	var r result
	err := d.with(cut.image, c.Spool, func() error {
		out, err := exec.Command(c.smapd, "-c", c.Table, "-once").CombinedOutput()
		if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 75 {
			err = nil // what stays will be missed
		}
		if err != nil {
			return fmt.Errorf("smapd -once: %w\n%s", err, out)
		}
		// One that was accepted will be missed.
		torn, err := filepath.Glob(c.Path("bad", "*.envelope"))
		r.torn = len(torn)
		return err
	})
	r.compare(cut, &c.got)
	return r, err
}

// syncWithin is how long a delivery may stay unsynced: a second by smapd's promise, and more on a machine with other work.
const syncWithin = 15 * time.Second

// compare wants each acknowledged message delivered before or after the cut, and after it only once.
func (r *result) compare(cut cut, got *taker) {
	got.mu.Lock()
	defer got.mu.Unlock()
	r.wrong = append(r.wrong, got.wrong...)
	r.recovered = len(got.since)
	for _, mark := range cut.acked {
		_, before := cut.delivered[mark]
		_, after := got.since[mark]
		if !before {
			r.waiting++
		}
		if !before && !after {
			r.wrong = append(r.wrong, mark+" was accepted and is lost")
		}
	}
	for mark := range got.since {
		since, before := cut.delivered[mark]
		if before {
			r.again++
		}
		if before && cut.at.Sub(since) > syncWithin {
			r.wrong = append(r.wrong, fmt.Sprintf("%s was delivered again, %v after the first time", mark, cut.at.Sub(since)))
		}
	}
}
