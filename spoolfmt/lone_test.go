package spoolfmt

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// lone claims an envelope whose content is gone, after its 36 hours.
func (x *testSpool) lone(id string) *Claim {
	x.t.Helper()
	x.cannotClaim(id, ErrAlone)
	x.pass(Orphaned + time.Minute)
	x.cannotClaim(id, ErrAlone)
	x.pass(LookAgain)
	return x.claim(id)
}

// TestLoneStays: from new a lone envelope goes straight to bad. In cur it would
// be beside the content of a feeder that uses its id again.
func TestLoneStays(t *testing.T) {
	x := newTestSpool(t)
	x.put("new/m.envelope", envelopeText(2))
	c := x.lone("m")
	x.has("new/m.envelope")
	err := c.Load()
	var bad *MalformedError
	if !errors.As(err, &bad) || bad.File != "new/m.eml" {
		t.Fatalf("load: %v", err)
	}
	if err := c.SetAside("gone"); err != nil {
		t.Fatal(err)
	}
	x.has("bad/m.envelope")
	e, err := envelope.Parse([]byte(x.read("bad/m.envelope")))
	if err != nil || !strings.HasSuffix(e.Get("Set-Aside"), " gone") {
		t.Errorf("%q, %v", x.read("bad/m.envelope"), err)
	}
}

// TestLoneLocked: whoever sets a lone envelope aside holds its lock. Without
// that, the second of two drainers would take away the envelope of a feeder
// that has used the id again in between.
func TestLoneLocked(t *testing.T) {
	for _, box := range []string{"new", "cur"} {
		t.Run(box, func(t *testing.T) {
			x := newTestSpool(t)
			x.put(box+"/m.envelope", envelopeText(2))
			other, err := OpenDrainer(x.dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer other.Close()
			other.now = func() time.Time { return x.clock }
			x.pass(Orphaned + time.Minute)
			x.cannotClaim("m", ErrAlone)
			if _, err := other.Claim("m"); !errors.Is(err, ErrAlone) {
				t.Fatal(err)
			}
			x.pass(LookAgain)
			c := x.claim("m")
			if _, err := other.Claim("m"); !errors.Is(err, ErrBusy) {
				t.Errorf("a second drainer: %v", err)
			}
			if err := c.Release(); err != nil {
				t.Fatal(err)
			}
			x.has(box + "/m.envelope")
			if c, err = other.Claim("m"); err != nil {
				t.Fatal(err)
			}
			if err := c.SetAside("gone"); err != nil {
				t.Fatal(err)
			}
			x.has("bad/m.envelope")
		})
	}
}

// TestLoneDeleted: a person deletes a lone envelope, and need not wait until a drainer
// would set it aside.
func TestLoneDeleted(t *testing.T) {
	for _, box := range []string{"new", "cur"} {
		x := newTestSpool(t)
		x.put(box+"/m.envelope", envelopeText(2))
		synced := false
		x.sys.fsync = func(fd int) error { synced = synced || fd == x.dirs[New] || fd == x.dirs[Cur]; return nil }
		if err := x.Delete("m"); err != nil || !synced {
			t.Errorf("%s: %v, synced %v", box, err, synced)
		}
		x.has()
		if err := x.Delete("m"); !errors.Is(err, ErrGone) {
			t.Errorf("again: %v", err)
		}
		x.put(box+"/m.envelope", envelopeText(2))
		x.put("bad/m.eml", "x\n")
		if err := x.Delete("m"); !errors.Is(err, ErrBlocked) {
			t.Errorf("beside a file of the id in bad: %v", err)
		}
	}
}

// TestLoneNotDeleted: a content that appears, wherever, keeps the envelope.
func TestLoneNotDeleted(t *testing.T) {
	for _, name := range []string{"new/m.eml", "cur/m.eml"} {
		x := newTestSpool(t)
		x.put("new/m.envelope", envelopeText(2))
		lock := x.sys.lock
		x.sys.lock = func(fd int) error {
			x.put(name, "x\n")
			return lock(fd)
		}
		if err := x.Delete("m"); !errors.Is(err, ErrBusy) {
			t.Errorf("%s: %v", name, err)
		}
		x.has("new/m.envelope", name)
	}
}

// TestLoneNames are what a crash leaves of a lone envelope's move: it is set
// aside once.
func TestLoneNames(t *testing.T) {
	for _, names := range [][]string{
		{"new/E", "bad/E"}, {"cur/E", "bad/E"}, {"new/E", "cur/E"}, {"new/E", "cur/E", "bad/E"},
	} {
		t.Run(strings.ReplaceAll(strings.Join(names, " "), "/", "-"), func(t *testing.T) {
			x := newTestSpool(t)
			x.linked(names...)
			x.pass(Orphaned + time.Minute)
			for range 8 {
				if c, err := x.Claim("id"); err == nil {
					if err := c.SetAside("gone"); err != nil {
						t.Fatal(err)
					}
				}
				x.pass(LookAgain)
			}
			x.has("bad/id.envelope")
		})
	}
}

// TestLoneFails fails each sync and each move: nothing is lost, and the next
// attempt ends it.
func TestLoneFails(t *testing.T) {
	for _, call := range []string{"move", "bad", "new", "cur", "write"} {
		t.Run(call, func(t *testing.T) {
			x := newTestSpool(t)
			x.put("new/m.envelope", envelopeText(2))
			c := x.lone("m")
			real := x.sys
			switch call {
			case "move":
				x.sys.move = func(int, string, int, string) error { return errInjected }
			case "write":
				x.sys.write = func(int, []byte) (int, error) { return 0, errInjected }
			default:
				box := map[string]Box{"bad": Bad, "new": New, "cur": Cur}[call]
				x.sys.fsync = func(fd int) error {
					if fd == x.dirs[box] {
						return errInjected
					}
					return real.fsync(fd)
				}
			}
			err := c.SetAside("gone")
			if (err == nil) != (call == "write") { // a reason that cannot be written is in the log
				t.Errorf("set aside: %v", err)
			}
			x.sys = real
			if call == "move" {
				x.has("new/m.envelope")
				if err := c.SetAside("gone"); err != nil {
					t.Fatal(err)
				}
			}
			x.has("bad/m.envelope")
			if want := envelopeText(2); call != "move" && x.read("bad/m.envelope") != want {
				t.Errorf("it was written again before its move was durable: %q", x.read("bad/m.envelope"))
			}
		})
	}
}

// TestOwners: an envelope that another feeder put beside a content, in the
// moment before the content's own feeder would have, is not believed: whoever
// wrote it could have any mail sent to himself.
// TestReasonOfFeeder: a first line that looks like a reason is one where root or the
// drainer wrote the file. A feeder's stays.
// TestLoneOwners: a lone envelope of a feeder keeps its owner in bad, or it could be
// requeued with the content of another.
// TestLoneNeedsTheSync: an envelope whose message is in bad stays until that is durable.
func TestLoneNeedsTheSync(t *testing.T) {
	x := newTestSpool(t)
	x.put("cur/m.envelope", envelopeText(2))
	x.put("bad/m.eml", "x\n")
	if err := os.Link(filepath.Join(x.dir, "cur/m.envelope"), filepath.Join(x.dir, "bad/m.envelope")); err != nil {
		t.Fatal(err)
	}
	fsync := x.sys.fsync
	x.sys.fsync = func(fd int) error {
		if fd == x.dirs[Bad] {
			return unix.EIO
		}
		return fsync(fd)
	}
	if c, err := x.takeLone(Cur, "m", true); !errors.Is(err, unix.EIO) {
		t.Fatalf("claim %v, error %v", c, err)
	}
	x.has("cur/m.envelope", "bad/m.eml", "bad/m.envelope")
}

// TestOddIsLookedAtAgain: what was no regular file a moment ago may be a message now, which
// another drainer has.
func TestOddIsLookedAtAgain(t *testing.T) {
	x := newTestSpool(t)
	x.put("cur/m.eml", "x\n")
	if err := x.oddAside(Cur, "m", KindContent); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	x.has("cur/m.eml")
}

// TestLoneBesideDrop: an envelope in new that has the id of a drop in cur waits for it.
func TestLoneBesideDrop(t *testing.T) {
	x := newTestSpool(t)
	x.put("new/m.envelope", envelopeText(2))
	x.put("cur/m.mail", testMail)
	if _, err := x.takeLone(New, "m", true); !errors.Is(err, ErrBusy) {
		t.Error(err)
	}
	x.has("new/m.envelope", "cur/m.mail")
}
