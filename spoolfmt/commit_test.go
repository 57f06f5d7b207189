package spoolfmt

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// A tape is what a spool's system calls did, in order.
type tape struct {
	mu    sync.Mutex
	files map[int]string // open descriptors
	done  []taped
}

// A taped call: of a sync both the begin and the end stand on the tape.
type taped struct {
	what string // write, move, fsync, fsync-end, syncfs, syncfs-end, close, told
	name string // of the file in tmp before a move, after it in new; "new" for the box
}

func (p *tape) add(what, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done = append(p.done, taped{what, name})
}

func (p *tape) name(fd int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.files[fd]
}

// record puts what a spool does on a tape. A pause makes syncs last, so that
// others come meanwhile.
func record(s *Spool, pause func()) *tape {
	p := &tape{files: map[int]string{s.dirs[New]: "new"}}
	real := systemCalls()
	s.sys.open = func(dir int, name string, flags int, mode uint32) (int, error) {
		fd, err := real.open(dir, name, flags, mode)
		p.mu.Lock()
		defer p.mu.Unlock()
		p.files[fd] = name
		return fd, err
	}
	s.sys.write = func(fd int, b []byte) (int, error) {
		p.add("write", p.name(fd))
		return real.write(fd, b)
	}
	s.sys.move = func(a int, from string, b int, to string) error {
		err := real.move(a, from, b, to)
		if err == nil {
			p.add("move", to)
		}
		return err
	}
	s.sys.close = func(fd int) error { // which unlocks, at the latest
		p.add("close", p.name(fd))
		return real.close(fd)
	}
	s.sys.fsync = func(fd int) error {
		name := p.name(fd)
		p.add("fsync", name)
		pause()
		err := real.fsync(fd)
		p.add("fsync-end", name)
		return err
	}
	s.sys.syncfs = func(fd int) error {
		p.add("syncfs", "")
		pause()
		err := real.syncfs(fd)
		p.add("syncfs-end", "")
		return err
	}
	return p
}

// check wants, for a message that was told to be accepted: locked before it is
// visible, the envelope moved last, then both files and new synced, then
// unlocked, and told after that.
func (p *tape) check(id string) error {
	at := func(what, name string) int {
		for i := len(p.done) - 1; i >= 0; i-- {
			if p.done[i] == (taped{what, name}) {
				return i
			}
		}
		return -1
	}
	eml, env := id+".eml", id+".envelope"
	visible, unlocked, told := at("move", env), at("close", eml), at("told", id)
	// synced finds a whole sync of the file, or of all, while it is locked and visible.
	synced := func(name string) bool {
		for i := visible; i < unlocked; i++ {
			b := p.done[i]
			if b != (taped{"fsync", name}) && b.what != "syncfs" {
				continue
			}
			for j := i + 1; j < unlocked; j++ {
				if e := p.done[j]; e.what == b.what+"-end" && e.name == b.name {
					return true
				}
			}
		}
		return false
	}
	switch {
	case at("move", eml) < 0 || visible < at("move", eml):
		return fmt.Errorf("%s: content moved at %d, envelope at %d", id, at("move", eml), visible)
	case at("write", eml) > visible || at("write", env) > visible:
		return fmt.Errorf("%s: visible before it was written", id)
	case !synced(eml):
		return fmt.Errorf("%s: unlocked before its content was durable", id)
	case !synced(env):
		return fmt.Errorf("%s: unlocked before its envelope was durable", id)
	case !synced("new"):
		return fmt.Errorf("%s: unlocked before its names were durable", id)
	case told < unlocked:
		return fmt.Errorf("%s: acknowledged before it was durable", id)
	}
	return nil
}

// commitMany commits from several goroutines at once, and returns the ids.
func commitMany(t *testing.T, s *Spool, p *tape, sessions, each int) []string {
	t.Helper()
	var mu sync.Mutex
	var ids []string
	var wg sync.WaitGroup
	for range sessions {
		wg.Go(func() {
			for range each {
				d, err := s.NewDraft()
				if err == nil {
					_, err = d.Write([]byte("Subject: x\n\n" + d.ID() + "\n"))
				}
				if err == nil {
					err = d.Commit(testEnvelope(t))
				}
				if err != nil {
					t.Error(err)
					return
				}
				p.add("told", d.ID())
				mu.Lock()
				ids = append(ids, d.ID())
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return ids
}

func TestCommitsTogether(t *testing.T) {
	for _, unsupported := range []bool{false, true} {
		for _, sessions := range []int{1, 2, 3, 16} {
			t.Run(fmt.Sprintf("%d sessions, without syncfs %v", sessions, unsupported), func(t *testing.T) {
				x := newTestSpool(t)
				p := record(x.Spool, func() { time.Sleep(time.Duration(rand.IntN(500)) * time.Microsecond) })
				if unsupported {
					x.sys.syncfs = func(int) error { return errors.ErrUnsupported }
				}
				ids := commitMany(t, x.Spool, p, sessions, 20)
				if len(ids) != 20*sessions {
					t.Fatalf("%d messages, want %d", len(ids), 20*sessions)
				}
				for _, id := range ids {
					if err := p.check(id); err != nil {
						t.Error(err)
					}
					c := x.claim(id)
					if err := c.Load(); err != nil {
						t.Error(err)
					}
					if got := x.read("cur/" + id + ".eml"); !strings.HasSuffix(got, id+"\n") {
						t.Errorf("%s has the content %q", id, got)
					}
					if err := c.Finish(); err != nil {
						t.Error(err)
					}
				}
				if err := x.Flush(); err != nil {
					t.Error(err)
				}
				x.has()
				if sessions == 1 {
					for _, c := range p.done {
						if c.what == "syncfs" {
							t.Error("a lone draft synced the whole file system")
							break
						}
					}
				}
			})
		}
	}
}

// TestTapeFindsDefects plants what check is for.
func TestTapeFindsDefects(t *testing.T) {
	const w, m, f, e = "write", "move", "fsync", "fsync-end"
	good := []taped{
		{w, "1.eml"}, {w, "1.envelope"}, {m, "1.eml"}, {m, "1.envelope"},
		{f, "1.eml"}, {e, "1.eml"}, {f, "1.envelope"}, {e, "1.envelope"}, {f, "new"}, {e, "new"},
		{"close", "1.eml"}, {"told", "1"},
	}
	if err := (&tape{done: good}).check("1"); err != nil {
		t.Fatal(err)
	}
	for i, c := range good[2:11] {
		bad := append(append([]taped{}, good[:i+2]...), good[i+3:]...)
		if err := (&tape{done: bad}).check("1"); err == nil {
			t.Errorf("without %v nothing is found", c)
		}
	}
	for _, i := range []int{2, 3, 9, 10} { // a step before what it waits for
		bad := append([]taped{}, good...)
		bad[i], bad[i+1] = bad[i+1], bad[i]
		if err := (&tape{done: bad}).check("1"); err == nil {
			t.Errorf("%v and %v in the other order: nothing is found", good[i], good[i+1])
		}
	}
}

// TestLockedTillDurable has a drainer try to claim at each sync of a commit.
func TestLockedTillDurable(t *testing.T) {
	x := newTestSpool(t)
	tries := 0
	x.sys.fsync = func(fd int) error {
		tries++
		x.cannotClaim(strings.TrimSuffix(strings.TrimPrefix(x.names()[0], "new/"), ".eml"), ErrBusy)
		return fsync(fd)
	}
	id := x.feed("x\n")
	x.sys = systemCalls()
	if tries != 3 {
		t.Errorf("%d syncs, want those of content, envelope and new", tries)
	}
	if err := x.claim(id).Release(); err != nil {
		t.Error(err)
	}
}

// TestUnlocked: without a lock a drainer may take a message as soon as it is in
// new. So both files are durable before, and a later sync that fails takes
// nothing from it.
func TestUnlocked(t *testing.T) {
	x := newTestSpool(t)
	x.sys.lock = func(int) error { return unix.ENOLCK }
	synced := 0
	x.sys.fsync = func(fd int) error {
		if len(x.namesIn("new")) == 0 {
			synced++
			return fsync(fd)
		}
		return unix.EIO
	}
	d, err := x.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write([]byte("x\n")); err != nil {
		t.Fatal(err)
	}
	err = d.Commit(testEnvelope(t))
	var failed *CommitError
	if !errors.As(err, &failed) || !failed.Visible || !errors.Is(err, unix.EIO) {
		t.Errorf("commit: %v, want one that is visible", err)
	}
	if synced != 2 {
		t.Errorf("%d syncs before the moves, want those of content and envelope", synced)
	}
	x.sys = systemCalls()
	c := x.claim(d.ID())
	if err := c.Load(); err != nil {
		t.Errorf("the message was cut: %v", err)
	}
	if err := c.Release(); err != nil {
		t.Error(err)
	}
}

// TestUnlockedFails: where that first sync fails, nothing is in new.
func TestUnlockedFails(t *testing.T) {
	x := newTestSpool(t)
	x.sys.lock = func(int) error { return unix.ENOLCK }
	x.sys.fsync = func(int) error { return unix.EIO }
	d, err := x.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	err = d.Commit(testEnvelope(t))
	var failed *CommitError
	if !errors.As(err, &failed) || failed.Visible || !errors.Is(err, unix.EIO) {
		t.Errorf("commit: %v, want one that is not visible", err)
	}
	x.has()
}

// TestTouched: a commit touches its envelope when the message is durable and its lock is
// free. Drainers that watch new take it then (TestClaimedAtTouch of courier).
func TestTouched(t *testing.T) {
	x := newTestSpool(t)
	synced, touched := false, 0
	fsync, touch := x.sys.fsync, x.sys.touch
	x.sys.fsync = func(fd int) error {
		synced = synced || fd == x.dirs[New]
		return fsync(fd)
	}
	x.sys.touch = func(fd int, mode uint32) error {
		touched++
		var env, named unix.Stat_t
		names := x.namesIn("new")
		err := errors.Join(unix.Fstat(fd, &env), unix.Stat(filepath.Join(x.dir, names[1]), &named))
		if err != nil || !sameFile(&env, &named) || mode != uint32(named.Mode)&0o7777 {
			t.Errorf("touched %v to %o, not %v (%v)", env.Ino, mode, named.Ino, err)
		}
		f, err := os.Open(filepath.Join(x.dir, names[0]))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := lock(int(f.Fd())); err != nil || !synced {
			t.Errorf("touched before it can be taken: new is synced: %v; lock: %v", synced, err)
		}
		return touch(fd, mode)
	}
	x.sys.syncfs = func(int) error { return errors.ErrUnsupported }
	x.feed("x\n")
	if touched != 1 {
		t.Errorf("touched %d times", touched)
	}
}

// feedTogether commits that many messages while another one is being synced, so
// that one sync serves them all. It returns their outcomes, the other one's last.
func (x *testSpool) feedTogether(n int) []error {
	x.t.Helper()
	in, out := make(chan bool), make(chan bool)
	var once sync.Once
	sync := x.sys.fsync
	x.sys.fsync = func(fd int) error {
		once.Do(func() { in <- true; <-out })
		return sync(fd)
	}
	outcomes := make([]chan error, n+1)
	start := func(i int) {
		d, err := x.NewDraft()
		if err == nil {
			_, err = d.Write([]byte("x\n"))
		}
		if err != nil {
			x.t.Fatal(err)
		}
		outcomes[i] = make(chan error, 1)
		go func() {
			defer func() {
				if recover() != nil {
					outcomes[i] <- errors.New("panic")
				}
			}()
			outcomes[i] <- d.Commit(testEnvelope(x.t))
		}()
	}
	start(n)
	<-in
	for i := range n {
		start(i)
	}
	for waiting := 0; waiting < n; time.Sleep(time.Millisecond) {
		x.commits.mu.Lock()
		waiting = len(x.commits.waiting)
		x.commits.mu.Unlock()
	}

	out <- true
	var errs []error
	for _, c := range outcomes {
		errs = append(errs, <-c)
	}
	return errs
}

// TestSharedSyncFails has the sync of many fail once: no message that was begun
// before may be said to be accepted, none of them is delivered, and later ones
// are.
func TestSharedSyncFails(t *testing.T) {
	x := newTestSpool(t)
	early, err := x.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	x.sys.syncfs = func(int) error { return unix.EIO }
	errs := x.feedTogether(3)
	for _, err := range errs[:3] {
		var failed *CommitError
		if !errors.As(err, &failed) || !errors.Is(err, unix.EIO) || failed.Visible {
			t.Errorf("commit: %v", err)
		}
	}
	if errs[3] != nil {
		t.Errorf("the first: %v", errs[3])
	}
	x.sys = systemCalls()
	var failed *CommitError
	if err := early.Commit(testEnvelope(t)); !errors.As(err, &failed) || failed.Visible || !errors.Is(err, errBroken) {
		t.Errorf("a message begun before: %v", err)
	}
	x.feed("later\n")
	good, malformed := 0, 0
	for _, name := range x.namesIn("new") {
		if id, kind := SplitName(strings.TrimPrefix(name, "new/")); kind == KindEnvelope {
			c := x.claim(id)
			if c.Load() == nil {
				good++
			} else {
				malformed++
			}
			if err := c.Release(); err != nil {
				t.Error(err)
			}
		}
	}
	if good != 2 || malformed != 4 {
		t.Errorf("%d messages are whole and %d are not, want the first, the last, and four that failed", good, malformed)
	}
}

// TestCommitPanics has the sync panic that serves several messages.
func TestCommitPanics(t *testing.T) {
	x := newTestSpool(t)
	x.sys.syncfs = func(int) error { panic("planted") }
	panics := 0
	for _, err := range x.feedTogether(3)[:3] {
		var failed *CommitError
		if err != nil && err.Error() == "panic" {
			panics++
		} else if !errors.As(err, &failed) || !errors.Is(err, errAbandoned) || failed.Visible {
			t.Errorf("commit: %v", err)
		}
	}
	if panics != 1 {
		t.Errorf("%d commits panicked, want the leader's", panics)
	}
	x.sys = systemCalls()
	x.feed("later\n") // nobody holds the lead
}

// BenchmarkCommitTogether measures durable messages by sessions. TMPDIR should
// be on a journaled disk.
func BenchmarkCommitTogether(b *testing.B) {
	for _, sessions := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("sessions=%d", sessions), func(b *testing.B) {
			s, err := OpenFeeder(b.TempDir(), Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer s.Close()
			content := []byte(strings.Repeat("0123456789abcde\n", 256))
			var left atomic.Int64
			left.Store(int64(b.N))
			var wg sync.WaitGroup
			for range sessions {
				wg.Go(func() {
					for left.Add(-1) >= 0 {
						e, err := envelope.New(envelope.Path{Address: "a@example.com"}, []envelope.Path{{Address: "b@example.org"}})
						var d *Draft
						if err == nil {
							d, err = s.NewDraft()
						}
						if err == nil {
							_, err = d.Write(content)
						}
						if err == nil {
							err = d.Commit(e)
						}
						if err != nil {
							b.Error(err)
							return
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
		})
	}
}
