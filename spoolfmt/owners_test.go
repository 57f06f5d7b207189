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
