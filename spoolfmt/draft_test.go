package spoolfmt

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

func TestCommit(t *testing.T) {
	x := newTestSpool(t)
	content := strings.Repeat("0123456789abcde\n", 5000)
	d, err := x.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	for rest := content; rest != ""; {
		n := min(len(rest), 1+len(rest)%7001)
		if _, err := d.Write([]byte(rest[:n])); err != nil {
			t.Fatal(err)
		}
		rest = rest[n:]
	}
	x.has("tmp/" + d.ID() + ".eml")
	if err := d.Commit(testEnvelope(t)); err != nil {
		t.Fatal(err)
	}
	id := d.ID()
	x.has("new/"+id+".eml", "new/"+id+".envelope")
	if got := x.read("new/" + id + ".eml"); got != content {
		t.Errorf("content differs: %d octets, want %d", len(got), len(content))
	}
	if err := d.Abort(); err != nil {
		t.Errorf("abort after commit: %v", err)
	}
	x.has("new/"+id+".eml", "new/"+id+".envelope")
	c := x.claim(id)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	if got := c.Envelope().Size(); got != int64(len(content)) {
		t.Errorf("Size %d, want %d", got, len(content))
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestFileModeIgnoresUmask(t *testing.T) {
	old := unix.Umask(0o077)
	defer unix.Umask(old)
	x := newTestSpool(t)
	id := x.feed("x\n")
	for _, name := range []string{id + ".eml", id + ".envelope"} {
		st, err := os.Stat(filepath.Join(x.dir, "new", name))
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != 0o640 {
			t.Errorf("%s has mode %o", name, st.Mode().Perm())
		}
	}
}

// TestCommitFails fails every system call of a commit in turn, and looks at
// what a drainer would then find.
func TestCommitFails(t *testing.T) {
	const ( // what a drainer finds
		nothing = iota
		spoiled // an envelope without an octet, to be set aside
		visible // a message, whole
		good    // the commit succeeds all the same
	)
	type fault struct {
		name   string
		left   int // what a drainer finds
		inject func(*syscalls)
	}
	nth := func(n int) func() bool { return func() bool { n--; return n == 0 } }
	faults := []fault{
		{"short write of the content", nothing, func(s *syscalls) {
			real := s.write
			s.write = func(fd int, p []byte) (int, error) {
				if len(p) > 1 {
					n, err := real(fd, p[:len(p)/2])
					s.write = func(int, []byte) (int, error) { return 0, unix.ENOSPC }
					return n, err
				}
				return real(fd, p)
			}
		}},
		{"write says nothing was written", nothing, func(s *syscalls) {
			s.write = func(int, []byte) (int, error) { return 0, nil }
		}},
		{"create of the envelope", nothing, func(s *syscalls) {
			s.open = func(int, string, int, uint32) (int, error) { return -1, unix.EMFILE }
		}},
	}
	for n, what := range []string{"content", "envelope"} {
		at := n + 1
		faults = append(faults, fault{"ENOSPC while the " + what + " is written", nothing, func(s *syscalls) {
			real, hit := s.write, nth(at)
			s.write = func(fd int, p []byte) (int, error) {
				if hit() {
					return 0, unix.ENOSPC
				}
				return real(fd, p)
			}
		}})
	}
	for n, what := range []string{"content", "envelope", "new"} {
		at := n + 1
		faults = append(faults, fault{"EIO from fsync of " + what, spoiled, func(s *syscalls) {
			real, hit := s.fsync, nth(at)
			s.fsync = func(fd int) error {
				if hit() {
					return unix.EIO
				}
				return real(fd)
			}
		}})
	}
	faults = append(faults, fault{"EIO from fsync and from the truncation", visible, func(s *syscalls) {
		s.fsync = func(int) error { return unix.EIO }
		s.truncate = func(int, int64) error { return unix.EIO }
	}})
	for n, what := range []string{"content", "envelope"} {
		at := n + 1
		faults = append(faults, fault{"move of " + what, nothing, func(s *syscalls) {
			real, hit := s.move, nth(at)
			s.move = func(a int, from string, b int, to string) error {
				if hit() {
					return unix.EIO
				}
				return real(a, from, b, to)
			}
		}}, fault{"move of " + what + " that says it failed but did not", map[string]int{"envelope": good}[what], func(s *syscalls) {
			real, hit := s.move, nth(at)
			s.move = func(a int, from string, b int, to string) error {
				err := real(a, from, b, to)
				if hit() {
					return unix.ENOENT
				}
				return err
			}
		}})
	}
	for _, f := range faults {
		t.Run(f.name, func(t *testing.T) {
			x := newTestSpool(t)
			d, err := x.NewDraft()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := d.Write([]byte("hello\n")); err != nil {
				t.Fatal(err)
			}
			f.inject(&x.sys)
			err = d.Commit(testEnvelope(t))
			x.sys = systemCalls()
			var failed *CommitError
			if errors.As(err, &failed) == (f.left == good) {
				t.Fatalf("commit: %v", err)
			}
			if failed != nil && failed.Visible != (f.left == visible) {
				t.Errorf("visible: %v: %v", failed.Visible, err)
			}
			if err := d.Abort(); err != nil {
				t.Errorf("abort: %v", err)
			}
			if f.left == nothing {
				x.has()
				return
			}
			c := x.claim(d.ID())
			var bad *MalformedError
			if err := c.Load(); errors.As(err, &bad) != (f.left == spoiled) {
				t.Errorf("load: %v", err)
			}
			if err := c.Finish(); err != nil {
				t.Error(err)
			}
			if err := x.Flush(); err != nil {
				t.Error(err)
			}
			x.has()
		})
	}
}

func TestWriteFailsForGood(t *testing.T) {
	x := newTestSpool(t)
	d, err := x.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	x.sys.write = func(int, []byte) (int, error) { return 0, unix.ENOSPC }
	if _, err := d.Write(bytes.Repeat([]byte("x"), 1<<20)); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("write: %v", err)
	}
	x.sys = systemCalls()
	if _, err := d.Write([]byte("more")); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("a write after a failed one: %v", err)
	}
	if err := d.Commit(testEnvelope(t)); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("commit after a failed write: %v", err)
	}
	x.has()
}

// TestIDTaken lets another message stand where a draft wants to go, in each
// of the ways that a step can meet it.
func TestIDTaken(t *testing.T) {
	for _, taken := range [][]string{{".eml"}, {".envelope"}, {".eml", ".envelope"}} {
		t.Run(strings.Join(taken, " "), func(t *testing.T) {
			x := newTestSpool(t)
			d, err := x.NewDraft()
			if err != nil {
				t.Fatal(err)
			}
			first := d.ID()
			for _, suffix := range taken {
				x.put("new/"+first+suffix, "theirs")
			}
			if err := d.Commit(testEnvelope(t)); err != nil {
				t.Fatal(err)
			}
			if d.ID() == first {
				t.Fatal("the id was not changed")
			}
			want := []string{"new/" + d.ID() + ".eml", "new/" + d.ID() + ".envelope"}
			for _, suffix := range taken {
				want = append(want, "new/"+first+suffix)
				if got := x.read("new/" + first + suffix); got != "theirs" {
					t.Errorf("the other's %s is now %q", suffix, got)
				}
			}
			x.has(want...)
		})
	}
}

// TestEnvelopeAppears has the other envelope come between the two moves.
func TestEnvelopeAppears(t *testing.T) {
	x := newTestSpool(t)
	d, err := x.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	first := d.ID()
	real := x.sys.move
	x.sys.move = func(a int, from string, b int, to string) error {
		err := real(a, from, b, to)
		if to == first+".eml" {
			x.put("new/"+first+".envelope", "theirs")
		}
		return err
	}
	if err := d.Commit(testEnvelope(t)); err != nil {
		t.Fatal(err)
	}
	x.has("new/"+first+".envelope", "new/"+d.ID()+".eml", "new/"+d.ID()+".envelope")
	if got := x.read("new/" + first + ".envelope"); got != "theirs" {
		t.Errorf("the other envelope is now %q", got)
	}
}

// TestNotTakenBack has an envelope appear where a sandbox lets nothing out of
// new: the stranger's envelope must not get our content.
func TestNotTakenBack(t *testing.T) {
	x := newTestSpool(t)
	d, err := x.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write([]byte("private\n")); err != nil {
		t.Fatal(err)
	}
	id, tries := d.ID(), 0
	move := x.sys.move
	x.sys.move = func(fromDir int, from string, toDir int, to string) error {
		switch {
		case fromDir == x.dirs[New]:
			return unix.EXDEV
		case strings.HasSuffix(from, ".envelope"):
			tries++
			x.put("new/"+to, "Spool-Format: 1\nSender: <>\nRecipient: <spy@example.net>\nSize: 8\n\n")
		}
		return move(fromDir, from, toDir, to)
	}
	err = d.Commit(testEnvelope(t))
	var failed *CommitError
	if !errors.As(err, &failed) || failed.Visible {
		t.Errorf("commit: %v, want one that failed", err)
	}
	if tries != 1 {
		t.Errorf("%d ids were tried, want 1: the content is not there for another one", tries)
	}
	if got := x.read("new/" + id + ".eml"); got != "" {
		t.Errorf("the stranger's envelope has the content %q", got)
	}
	if left, err := os.ReadDir(filepath.Join(x.dir, "tmp")); err != nil || len(left) > 0 {
		t.Errorf("left in tmp: %v, %v", left, err)
	}
}

func TestAbort(t *testing.T) {
	x := newTestSpool(t)
	d, err := x.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := d.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := d.Abort(); err != nil {
			t.Fatal(err)
		}
	}
	x.has()
	if err := d.Commit(testEnvelope(t)); err == nil {
		t.Error("commit after abort succeeded")
	}
	x.has()
}

func TestLinkAndUnlink(t *testing.T) {
	x := newTestSpool(t)
	x.sys.move = linkAndUnlink
	id := x.feed("hello\n")
	x.has("new/"+id+".eml", "new/"+id+".envelope")
	c := x.claim(id)
	x.put("new/other.eml", "theirs")
	x.put("cur/other.eml", "ours")
	if err := linkAndUnlink(x.dirs[New], "other.eml", x.dirs[Cur], "other.eml"); !errors.Is(err, unix.EEXIST) {
		t.Errorf("move onto a name: %v", err)
	}
	if got := x.read("cur/other.eml"); got != "ours" {
		t.Errorf("the name was replaced: %q", got)
	}
	// What a crash between the two leaves, and what a repeated request of a
	// network file system looks like.
	if err := os.Link(filepath.Join(x.dir, "new/other.eml"), filepath.Join(x.dir, "cur/twin.eml")); err != nil {
		t.Fatal(err)
	}
	if err := linkAndUnlink(x.dirs[New], "other.eml", x.dirs[Cur], "twin.eml"); err != nil {
		t.Errorf("move of a twin: %v", err)
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestFeederAlone(t *testing.T) {
	dir := t.TempDir()
	s, err := OpenFeeder(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	d, err := s.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Commit(testEnvelope(t)); err != nil {
		t.Fatal(err)
	}
	if bytes, inodes, err := s.Free(); err != nil || bytes == 0 || inodes == 0 {
		t.Errorf("free: %d, %d, %v", bytes, inodes, err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("a feeder made %v", entries)
	}
}

func BenchmarkCommit(b *testing.B) {
	s, err := OpenFeeder(b.TempDir(), Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	content := bytes.Repeat([]byte("0123456789abcde\n"), 256)
	for b.Loop() {
		e, err := envelope.New(envelope.Path{Address: "a@example.com"}, []envelope.Path{{Address: "b@example.org"}})
		if err != nil {
			b.Fatal(err)
		}
		d, err := s.NewDraft()
		if err != nil {
			b.Fatal(err)
		}
		if _, err := d.Write(content); err != nil {
			b.Fatal(err)
		}
		if err := d.Commit(e); err != nil {
			b.Fatal(err)
		}
	}
}
