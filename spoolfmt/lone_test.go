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
func TestOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of two users")
	}
	const feeder, other, drainer = 12345, 12346, 12347
	valid := envelopeText(2)
	tests := []struct {
		content, envelope int
		text              string
		ok                bool
	}{
		{feeder, feeder, valid, true},
		{feeder, 0, valid, true},       // root
		{feeder, drainer, valid, true}, // has recorded an outcome
		{feeder, other, valid, false},
		{0, other, valid, false},
		{drainer, other, valid, false},
		// What cannot be parsed is another's all the same. A reason in place of its first
		// line would make the rest valid for a requeue, and the file ours.
		{feeder, other, "Set-Aside: T x\n" + valid, false},
		{feeder, other, "nonsense\n" + valid, false},
		{feeder, other, valid + strings.Repeat("x", envelope.MaxSize), false},
	}
	for _, tt := range tests {
		x := newTestSpool(t)
		x.put("new/m.eml", "x\n")
		x.put("new/m.envelope", tt.text)
		for name, uid := range map[string]int{"new": drainer, "new/m.eml": tt.content, "new/m.envelope": tt.envelope} {
			if err := os.Chown(filepath.Join(x.dir, name), uid, -1); err != nil {
				t.Fatal(err)
			}
		}
		// As Linux does with fs.protected_hardlinks: a copy must not be made of such an envelope.
		x.sys.link = func(int, string, int, string) error { return unix.EPERM }
		c := x.claim("m")
		err := c.Load()
		if tt.ok {
			if err != nil {
				t.Errorf("user %d's envelope: %v", tt.envelope, err)
			}
			if err := c.Release(); err != nil {
				t.Error(err)
			}
			continue
		}
		var bad *MalformedError
		if !errors.As(err, &bad) {
			t.Fatalf("user %d's envelope: load: %v", tt.envelope, err)
		}
		if err := c.SetAside(bad.Error()); err != nil {
			t.Fatal(err)
		}
		// The reason must not hide who wrote it: a requeue would send it then.
		if x.read("bad/m.envelope") != tt.text {
			t.Errorf("user %d's envelope was written again", tt.envelope)
		}
		if err := x.Requeue("m"); !errors.As(err, &bad) {
			t.Errorf("user %d's envelope: requeue: %v", tt.envelope, err)
		}
		x.has("bad/m.eml", "bad/m.envelope")
		if st, err := lstat(x.dirs[Bad], "m.envelope"); err != nil || int(st.Uid) != tt.envelope {
			t.Errorf("user %d's envelope in bad is user %d's (%v)", tt.envelope, st.Uid, err)
		}
	}
}

// TestReasonOfFeeder: a first line that looks like a reason is one where root or the
// drainer wrote the file. A feeder's stays.
func TestReasonOfFeeder(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of two users")
	}
	const feeder, drainer = 12345, 12347
	text := "Set-Aside: T x\n" + envelopeText(2)
	for uid, replaced := range map[int]bool{feeder: false, drainer: true, 0: true} {
		x := newTestSpool(t)
		x.put("new/m.eml", "x\n")
		x.put("new/m.envelope", text)
		for name, uid := range map[string]int{"new": drainer, "new/m.eml": uid, "new/m.envelope": uid} {
			if err := os.Chown(filepath.Join(x.dir, name), uid, -1); err != nil {
				t.Fatal(err)
			}
		}
		x.malformed("m")
		got := x.read("bad/m.envelope")
		if !strings.HasPrefix(got, "Set-Aside: ") || !strings.HasSuffix(got, envelopeText(2)) || strings.HasSuffix(got, text) == replaced {
			t.Errorf("user %d: envelope in bad: %q", uid, got)
		}
		var bad *MalformedError
		if err := x.Requeue("m"); errors.As(err, &bad) == replaced {
			t.Errorf("user %d: requeue: %v", uid, err)
		}
	}
}

// TestLoneOwners: a lone envelope of a feeder keeps its owner in bad, or it could be
// requeued with the content of another.
func TestLoneOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can make files of two users")
	}
	const feeder, drainer = 12345, 12347
	for _, odd := range []bool{false, true} {
		for uid, reason := range map[int]bool{feeder: false, drainer: true, 0: true} {
			x := newTestSpool(t)
			x.put("new/m.envelope", envelopeText(2))
			if odd {
				x.make(treeEntry{Path: "new/m.eml", Type: "fifo"})
			}
			for name, uid := range map[string]int{"new": drainer, "new/m.envelope": uid} {
				if err := os.Chown(filepath.Join(x.dir, name), uid, -1); err != nil {
					t.Fatal(err)
				}
			}
			if !odd {
				x.pass(Orphaned + time.Minute)
				x.cannotClaim("m", ErrAlone)
				x.pass(LookAgain)
			}
			if err := x.claim("m").SetAside("alone"); err != nil {
				t.Fatal(err)
			}
			if got := strings.Contains(x.read("bad/m.envelope"), "Set-Aside: "); got != reason {
				t.Errorf("user %d, odd %v: reason written %v", uid, odd, got)
			}
		}
	}
}

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
