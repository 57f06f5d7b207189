package spoolfmt

import (
	"errors"
	"fmt"
	"math/rand/v2"
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
	what string // write, move, fsync, fsync-end, syncfs, syncfs-end, told
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

// check wants, for a message that was told to be accepted: both files synced
// after their last write and before they were moved, the envelope moved last,
// and new synced after that and before it was told.
func (p *tape) check(id string) error {
	at := func(what, name string) int {
		for i := len(p.done) - 1; i >= 0; i-- {
			if p.done[i] == (taped{what, name}) {
				return i
			}
		}
		return -1
	}
	// between finds a whole sync of the file, or of all, within two places.
	between := func(from, to int, name string) bool {
		for i := max(from, 0); i < to; i++ {
			b := p.done[i]
			if b != (taped{"fsync", name}) && b.what != "syncfs" {
				continue
			}
			for j := i + 1; j < to; j++ {
				if e := p.done[j]; e.what == b.what+"-end" && e.name == b.name {
					return true
				}
			}
		}
		return false
	}
	eml, env := at("move", id+".eml"), at("move", id+".envelope")
	told := at("told", id)
	switch {
	case eml < 0 || env < eml:
		return fmt.Errorf("%s: content moved at %d, envelope at %d", id, eml, env)
	case !between(at("write", id+".eml"), eml, id+".eml"):
		return fmt.Errorf("%s: content visible before it was durable", id)
	case !between(at("write", id+".envelope"), env, id+".envelope"):
		return fmt.Errorf("%s: envelope visible before it was durable", id)
	case !between(env, told, "new"):
		return fmt.Errorf("%s: acknowledged before its name was durable", id)
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
		{w, "1.eml"}, {w, "1.envelope"}, {f, "1.envelope"}, {e, "1.envelope"}, {f, "1.eml"}, {e, "1.eml"},
		{m, "1.eml"}, {m, "1.envelope"}, {f, "new"}, {e, "new"}, {"told", "1"},
	}
	if err := (&tape{done: good}).check("1"); err != nil {
		t.Fatal(err)
	}
	for i, c := range good[2:10] {
		bad := append(append([]taped{}, good[:i+2]...), good[i+3:]...)
		if err := (&tape{done: bad}).check("1"); err == nil {
			t.Errorf("without %v nothing is found", c)
		}
	}
	for _, i := range []int{5, 6, 7, 9} { // a step before what it waits for
		bad := append([]taped{}, good...)
		bad[i], bad[i+1] = bad[i+1], bad[i]
		if err := (&tape{done: bad}).check("1"); err == nil {
			t.Errorf("%v and %v in the other order: nothing is found", good[i], good[i+1])
		}
	}
}

// TestLockTillSync has new synced while a drainer tries to claim.
func TestLockTillSync(t *testing.T) {
	for _, hold := range []bool{true, false} {
		x := newTestSpool(t)
		x.lockTillSync = hold
		claimed := false
		x.sys.fsync = func(fd int) error {
			if fd == x.dirs[New] && !claimed {
				claimed = true
				c, err := x.Claim(strings.TrimSuffix(strings.TrimPrefix(x.names()[0], "new/"), ".eml"))
				switch {
				case hold && !errors.Is(err, ErrBusy):
					t.Errorf("a claim before the name is durable: %v", err)
				case !hold && err != nil:
					t.Errorf("claim: %v", err)
				case !hold:
					if err := c.Release(); err != nil {
						t.Error(err)
					}
				}
			}
			return fsync(fd)
		}
		id := x.feed("x\n")
		x.sys = systemCalls()
		if !claimed {
			t.Fatal("new was not synced")
		}
		if err := x.claim(id).Release(); err != nil {
			t.Error(err)
		}
	}
}

// TestSharedSyncFails has the sync of many fail once: no message that was begun
// before may be said to be accepted, and later ones are.
func TestSharedSyncFails(t *testing.T) {
	x := newTestSpool(t)
	draft := func() *Draft {
		d, err := x.NewDraft()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Write([]byte("x\n")); err != nil {
			t.Fatal(err)
		}
		return d
	}
	// The first comes alone; while it syncs, three others come, whose shared
	// sync fails, together with that of the first one's name.
	in, out := make(chan bool), make(chan bool)
	x.sys.fsync = func(fd int) error {
		if fd != x.dirs[New] {
			in <- true
			<-out
		}
		return fsync(fd)
	}
	x.sys.syncfs = func(int) error { return unix.EIO }
	early := draft()
	errs := make(chan error, 4)
	first := draft()
	go func() { errs <- first.Commit(testEnvelope(t)) }()
	<-in
	for range 3 {
		d := draft()
		go func() { errs <- d.Commit(testEnvelope(t)) }()
	}
	waiting := func() int {
		x.commits.mu.Lock()
		defer x.commits.mu.Unlock()
		return len(x.commits.waiting)
	}
	for waiting() < 3 {
		time.Sleep(time.Millisecond)
	}
	out <- true // envelope
	<-in
	out <- true // content
	visible := 0
	for range 4 {
		var failed *CommitError
		if err := <-errs; !errors.As(err, &failed) || !errors.Is(err, unix.EIO) {
			t.Errorf("commit: %v", err)
		} else if failed.Visible {
			visible++
		}
	}
	if visible != 1 {
		t.Errorf("%d are visible, want the first alone", visible)
	}
	x.sys = systemCalls()
	var failed *CommitError
	if err := early.Commit(testEnvelope(t)); !errors.As(err, &failed) || failed.Visible || !errors.Is(err, errBroken) {
		t.Errorf("a message begun before: %v", err)
	}
	if err := draft().Commit(testEnvelope(t)); err != nil {
		t.Errorf("a later message: %v", err)
	}
	count := map[string]int{}
	for _, name := range x.names() {
		box, _, _ := strings.Cut(name, "/")
		count[box]++
	}
	if count["new"] != 4 || count["tmp"] != 0 {
		t.Errorf("%v, want the files of two messages in new and none in tmp", count)
	}
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
