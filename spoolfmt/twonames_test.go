package spoolfmt

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestTwoNames makes each state that a crash between link and unlink, or a file
// system that wrote only the new name of a move, leaves of a claim. Whatever it
// is, the message is claimed once and nothing of it is left over.
func TestTwoNames(t *testing.T) {
	for _, names := range [][]string{
		{"new/C", "cur/C", "new/E"},
		{"new/C", "cur/C", "cur/E"},
		{"new/C", "cur/C", "new/E", "cur/E"},
		{"new/C", "new/E", "cur/E"},
		{"cur/C", "new/E", "cur/E"},
		{"tmp/C", "new/C", "new/E"},
		{"new/C", "new/E", "bad/C"},
		{"cur/C", "cur/E", "bad/C"},
		{"tmp/C", "new/C", "cur/C", "new/E", "cur/E"},
	} {
		t.Run(strings.ReplaceAll(strings.Join(names, " "), "/", "-"), func(t *testing.T) {
			x := newTestSpool(t)
			x.linked(names...)
			claimed := 0
			for range 10 {
				c, err := x.Claim("id")
				if errors.Is(err, ErrGone) {
					break
				}
				if err == nil {
					claimed++
					if err := c.Load(); err != nil {
						t.Fatal(err)
					}
					if err := errors.Join(c.Finish(), x.Flush()); err != nil {
						t.Fatal(err)
					}
				}
				x.pass(2 * LookAgain)
			}
			if claimed != 1 {
				t.Errorf("claimed %d times", claimed)
			}
			if strings.HasPrefix(names[0], "tmp") { // it does no harm, and goes after 36 hours
				x.has("tmp/id.eml")
			} else {
				x.has()
			}
		})
	}
}

// linked makes one content and one envelope with these names, as box/C and
// box/E, the envelope also as the .done file, box/D.
func (x *testSpool) linked(names ...string) {
	x.t.Helper()
	x.put("c", "hello\n")
	x.put("e", envelopeText(6))
	for _, n := range names {
		from, to := "c", n[:4]+"id.eml"
		switch n[4] {
		case 'E':
			from, to = "e", n[:4]+"id.envelope"
		case 'D':
			from, to = "e", n[:4]+"id.done"
		}
		if err := os.Link(filepath.Join(x.dir, from), filepath.Join(x.dir, to)); err != nil {
			x.t.Fatal(err)
		}
	}
	for _, n := range []string{"c", "e"} {
		if err := os.Remove(filepath.Join(x.dir, n)); err != nil {
			x.t.Fatal(err)
		}
	}
}

// TestTwoNamesInBad ends a set aside that stopped when both files had a name in
// bad and one in cur.
func TestTwoNamesInBad(t *testing.T) {
	x := newTestSpool(t)
	x.linked("cur/C", "cur/E", "bad/C", "bad/E")
	for range 4 {
		c, err := x.Claim("id")
		if err == nil {
			t.Fatal("claimed", c.ID())
		}
		x.pass(2 * LookAgain)
	}
	x.has("bad/id.eml", "bad/id.envelope")
}

// TestTwoNamesOrphan sweeps a content whose move to bad was cut short.
func TestTwoNamesOrphan(t *testing.T) {
	x := newTestSpool(t)
	x.linked("new/C", "bad/C")
	x.sweep(Orphaned + time.Minute)
	x.sweep(Orphaned + 3*time.Minute)
	x.has("bad/id.eml")
}

// TestUnlinkLinked takes the old name away between link and unlink.
func TestUnlinkLinked(t *testing.T) {
	x := newTestSpool(t)
	x.put("cur/only", "x")
	if err := unlinkLinked(x.dirs[New], "only", x.dirs[Cur], "only"); err != nil {
		t.Errorf("a repeated request: %v", err)
	}
	x.put("cur/id.envelope", "x")
	if err := os.Link(filepath.Join(x.dir, "cur/id.envelope"), filepath.Join(x.dir, "theirs")); err != nil {
		t.Fatal(err)
	}
	if err := unlinkLinked(x.dirs[New], "id.envelope", x.dirs[Cur], "id.envelope"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("somebody else's: %v", err)
	}
	x.has("cur/only")
}

// TestMoveDirectory: a directory, which cannot be linked, is moved where moves are link
// and unlink. Nothing is replaced.
func TestMoveDirectory(t *testing.T) {
	x := newTestSpool(t)
	x.make(treeEntry{Path: "new/m.eml", Type: "dir"})
	x.put("new/m.eml/in", "it\n")
	x.put("bad/taken.eml", "x\n")
	x.make(treeEntry{Path: "bad/dir.eml", Type: "dir"})
	for _, taken := range []string{"taken.eml", "dir.eml"} {
		if err := linkAndUnlink(x.dirs[New], "m.eml", x.dirs[Bad], taken); !errors.Is(err, fs.ErrExist) {
			t.Errorf("%s: %v", taken, err)
		}
	}
	x.sys.move = linkAndUnlink
	x.sweep(Orphaned + time.Minute)
	x.sweep(Orphaned + 3*time.Minute)
	x.has("bad/dir.eml", "bad/m.eml", "bad/taken.eml")
	if x.read("bad/m.eml/in") != "it\n" || x.read("bad/taken.eml") != "x\n" {
		t.Error("not as it was")
	}
}

// TestDoneIsSynced makes sure that a content is not removed before its .done file
// is durable, nor that one before the content's removal is.
func TestDoneIsSynced(t *testing.T) {
	x := newTestSpool(t)
	for at := 1; at <= 3; at++ { // new, cur, and cur again
		x.put("cur/id.eml", "x\n")
		x.put("cur/id.done", envelopeText(2))
		syncs := 0
		x.sys.fsync = func(int) error {
			syncs++
			if syncs == at {
				return errInjected
			}
			return nil
		}
		x.cannotClaim("id", errInjected)
		if at < 3 {
			x.has("cur/id.done", "cur/id.eml")
		} else {
			x.has("cur/id.done")
		}
	}
	x.sys = systemCalls()
	x.cannotClaim("id", ErrGone)
	x.has()
}

// TestTwoNamesDrop: a power cut, or a crash between link and unlink, left a drop
// both of its names. It becomes one message, in whatever order it is looked at.
func TestTwoNamesDrop(t *testing.T) {
	const text = "From: a@example.com\nTo: b@example.org\n\nx\n"
	for _, names := range [][]string{{"new/d.mail", "cur/f.mail"}, {"tmp/t", "new/d.mail"}, {"tmp/t", "new/d.mail", "cur/f.mail"}} {
		for _, first := range []Box{New, Cur} {
			t.Run(first.String()+" first "+strings.ReplaceAll(strings.Join(names, " "), "/", "-"), func(t *testing.T) {
				x := newTestSpool(t)
				x.put("m", text)
				for _, n := range names {
					if err := os.Link(filepath.Join(x.dir, "m"), filepath.Join(x.dir, n)); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.Remove(filepath.Join(x.dir, "m")); err != nil {
					t.Fatal(err)
				}
				claimed := 0
				for i := range 8 {
					var c *Claim
					var err error
					if (i%2 == 0) == (first == New) {
						c, err = x.ClaimDrop("d.mail")
					} else {
						c, err = x.RecoverDrop("f.mail")
					}
					x.pass(LookAgain)
					if err != nil {
						continue
					}
					claimed++
					if err := errors.Join(c.Load(), c.Finish(), x.Flush()); err != nil {
						t.Fatal(err)
					}
				}
				if claimed != 1 {
					t.Errorf("claimed %d times", claimed)
				}
				if left := x.namesIn("new", "cur", "bad"); len(left) > 0 {
					t.Errorf("left: %q", left) // a name in tmp does no harm, and may stay
				}
			})
		}
	}
}

// TestTwoNamesRequeue: the same of a requeue.
func TestTwoNamesRequeue(t *testing.T) {
	for _, names := range [][]string{
		{"new/C", "bad/E"},
		{"bad/C", "new/C", "bad/E"},
		{"bad/C", "new/C", "bad/E", "new/E"},
		{"bad/C", "new/C", "new/E"},
		{"new/C", "bad/E", "new/E"},
	} {
		t.Run(strings.ReplaceAll(strings.Join(names, " "), "/", "-"), func(t *testing.T) {
			x := newTestSpool(t)
			x.linked(names...)
			if !strings.Contains(strings.Join(names, " "), "new/E") {
				if err := x.Requeue("id"); err != nil {
					t.Fatal(err)
				}
			}
			claimed := 0
			for range 6 {
				if c, err := x.Claim("id"); err == nil {
					claimed++
					if err := errors.Join(c.Load(), c.Finish(), x.Flush()); err != nil {
						t.Fatal(err)
					}
				}
				x.pass(LookAgain)
			}
			if claimed != 1 {
				t.Errorf("claimed %d times", claimed)
			}
			x.has()
		})
	}
	t.Run("drop", func(t *testing.T) {
		x := newTestSpool(t)
		x.put("bad/d.mail", "From: a@example.com\nTo: b@example.org\n\nx\n")
		x.put("bad/d.envelope", "Set-Aside: 2026-11-23T20:04:14Z too early\n")
		if err := os.Link(filepath.Join(x.dir, "bad/d.mail"), filepath.Join(x.dir, "new/d.mail")); err != nil {
			t.Fatal(err)
		}
		c, err := x.ClaimDrop("d.mail")
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(c.Load(), c.Finish(), x.Flush()); err != nil {
			t.Fatal(err)
		}
		x.has()
	})
}

// TestRecoveryFails: what could not be removed is not gone. The error says so, or the message would wait for a sweep.
func TestRecoveryFails(t *testing.T) {
	for _, names := range [][]string{
		{"cur/C", "cur/E", "bad/C", "bad/E"},
		{"cur/C", "cur/D"},
	} {
		t.Run(strings.ReplaceAll(strings.Join(names, " "), "/", "-"), func(t *testing.T) {
			x := newTestSpool(t)
			x.linked(names...)
			x.sys.unlink = func(int, string) error { return unix.EIO }
			if _, err := x.Claim("id"); !errors.Is(err, unix.EIO) || errors.Is(err, ErrGone) {
				t.Errorf("%v, want only EIO", err)
			}
		})
	}
}
