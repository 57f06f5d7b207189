package spoolfmt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// check returns all findings of a spool, as "file section", and the findings.
func (x *testSpool) check() ([]string, []Finding) {
	x.t.Helper()
	var said []string
	var all []Finding
	err := x.Check(context.Background(), CheckOptions{Pause: time.Millisecond}, func(f Finding) {
		said = append(said, f.File+" "+f.Section)
		all = append(all, f)
	})
	if err != nil {
		x.t.Fatal(err)
	}
	sort.Strings(said)
	return said, all
}

func (x *testSpool) link(from, to string) {
	x.t.Helper()
	if err := os.Link(filepath.Join(x.dir, from), filepath.Join(x.dir, to)); err != nil {
		x.t.Fatal(err)
	}
}

// TestCheckChanges: what is wrong at both looks, but is not the same, is looked at
// again, and found.
func TestCheckChanges(t *testing.T) {
	x := newTestSpool(t)
	x.own()
	x.put("new/a.eml", "hello\n")
	x.put("cur/a.envelope", envelopeText(6))
	time.AfterFunc(100*time.Millisecond, func() { os.Remove(filepath.Join(x.dir, "new/a.eml")) }) // between the looks
	var said []string
	err := x.Check(t.Context(), CheckOptions{Pause: 300 * time.Millisecond}, func(f Finding) { said = append(said, f.String()) })
	if err != nil || len(said) != 1 {
		t.Errorf("%q, %v", said, err)
	}
}

// TestCheckClean: what honest programs leave, at any moment, is no finding.
func TestCheckClean(t *testing.T) {
	x := newTestSpool(t)
	x.own()
	x.feed("waiting\n")
	working, deferred := x.claim(x.feed("delivered just now\n")), x.claim(x.feed("deferred\n"))
	if err := errors.Join(deferred.Load(), deferred.Record(x.clock.Add(time.Hour)), deferred.Release()); err != nil {
		t.Fatal(err)
	}
	asideMessage(t, x)
	x.put("new/d.mail", "From: a@example.com\nTo: b@example.org\n\nx\n")
	x.put("bad/orphan.eml", "x\n")
	if _, err := x.NewDraft(); err != nil {
		t.Fatal(err)
	}
	if said, _ := x.check(); len(said) > 0 {
		t.Errorf("findings in a spool in order: %q", said)
	}
	if err := working.Finish(); err != nil { // its content is still there, locked
		t.Fatal(err)
	}
	if said, _ := x.check(); len(said) > 0 {
		t.Errorf("findings in a spool in order: %q", said)
	}
}

// own gives the spool's directory the mode that it should have.
func (x *testSpool) own() {
	x.t.Helper()
	if err := os.Chmod(x.dir, 0o700); err != nil {
		x.t.Fatal(err)
	}
}

// TestCheckFinds plants every fault, one at a time: it is found, in the right
// section, then mended where that can be, and found no more.
func TestCheckFinds(t *testing.T) {
	const old = 2 * Orphaned
	pair := func(x *testSpool, box string) {
		x.put(box+"/a.eml", "hello\n")
		x.put(box+"/a.envelope", envelopeText(6))
	}
	tests := []struct {
		name  string
		plant func(x *testSpool)
		want  string // "file section"
		after string // what the spool holds when it is mended, "" if it cannot be
	}{
		{"a box is missing", func(x *testSpool) { os.Remove(filepath.Join(x.dir, "bad")) }, "bad 2.1", "nothing"},
		{"a box is a link", func(x *testSpool) {
			os.Remove(filepath.Join(x.dir, "bad"))
			os.Symlink("cur", filepath.Join(x.dir, "bad"))
		}, "bad 2.1", ""},
		{"open to all", func(x *testSpool) { os.Chmod(x.dir, 0o755) }, ". 2.2", ""},
		{"a box is open to all", func(x *testSpool) { os.Chmod(filepath.Join(x.dir, "cur"), 0o755) }, "cur 2.2", "nothing"},
		{"not an id", func(x *testSpool) { x.put("new/-x.eml", "x") }, "new/-x.eml 3", ""},
		{"not a name", func(x *testSpool) { x.put("cur/README", "x") }, "cur/README 2.1", ""},
		{"old in tmp", func(x *testSpool) { x.put("tmp/x", "x"); x.pass(old) }, "tmp/x 10.1", "nothing"},
		{"half", func(x *testSpool) { x.put("new/a.eml", "x"); x.pass(old) }, "new/a.eml 10.1", "bad/a.eml"},
		{"half, not for long", func(x *testSpool) { x.put("new/a.eml", "x") }, "new/a.eml 10.1", ""},
		{"lost", func(x *testSpool) { x.put("cur/a.eml", "x"); x.pass(old) }, "cur/a.eml 10.1", "bad/a.eml"},
		{"lost, not for long", func(x *testSpool) { x.put("cur/a.eml", "x") }, "cur/a.eml 10.1", ""},
		{"taking", func(x *testSpool) { x.put("new/a.eml", "hello\n"); x.put("cur/a.envelope", envelopeText(6)) }, "cur/a.envelope 7", "cur/a.eml cur/a.envelope"},
		{"split", func(x *testSpool) { x.put("cur/a.eml", "hello\n"); x.put("new/a.envelope", envelopeText(6)) }, "new/a.envelope 7", "cur/a.eml cur/a.envelope"},
		{"done", func(x *testSpool) { x.put("cur/a.eml", "hello\n"); x.put("cur/a.done", envelopeText(6)) }, "cur/a.eml 7", "nothing"},
		{"ended", func(x *testSpool) { x.put("cur/a.done", envelopeText(6)) }, "cur/a.done 7", "nothing"},
		{"taking, and a FIFO in the way", func(x *testSpool) {
			x.put("new/a.eml", "hello\n")
			x.put("cur/a.envelope", envelopeText(6))
			unix.Mkfifo(filepath.Join(x.dir, "cur/a.eml"), 0o600)
		}, "cur/a.envelope 7", "bad/a.eml cur/a.eml cur/a.envelope"},
		{"undone", func(x *testSpool) { pair(x, "cur"); x.put("cur/a.done", envelopeText(6)) }, "cur/a.envelope 7", "cur/a.eml cur/a.envelope"},
		{"a done in new", func(x *testSpool) { x.put("new/a.done", "x") }, "new/a.done 2.1", ""},
		{"deleting", func(x *testSpool) { x.put("bad/a.eml", "hello\n"); x.put("bad/a.done", envelopeText(6)) }, "bad/a.done 9.7", "nothing"},
		{"no content in bad", func(x *testSpool) { x.put("bad/a.envelope", envelopeText(6)) }, "bad/a.envelope 7", ""},
		{"another size in bad", func(x *testSpool) { pair(x, "bad"); x.put("bad/a.eml", "hello, world\n") }, "bad/a.envelope 9.3", ""},
		{"left", func(x *testSpool) { pair(x, "bad"); x.link("bad/a.eml", "cur/a.eml") }, "cur/a.eml B", "bad/a.eml bad/a.envelope"},
		{"leaving", func(x *testSpool) { pair(x, "cur"); x.link("cur/a.eml", "bad/a.eml") }, "cur/a.envelope B", "cur/a.eml cur/a.envelope"},
		{"two names", func(x *testSpool) { pair(x, "new"); x.link("new/a.eml", "cur/a.eml") }, "new/a.envelope B", "cur/a.eml cur/a.envelope"},
		{"alone", func(x *testSpool) { x.put("new/a.envelope", envelopeText(6)); x.pass(old) }, "new/a.envelope 10.3", "bad/a.envelope"},
		{"alone, not for long", func(x *testSpool) { x.put("new/a.envelope", envelopeText(6)) }, "new/a.envelope 10.3", ""},
		{"alone in cur", func(x *testSpool) { x.put("cur/a.envelope", envelopeText(6)); x.pass(old) }, "cur/a.envelope 10.3", "bad/a.envelope"},
		{"alone, a FIFO", func(x *testSpool) { unix.Mkfifo(filepath.Join(x.dir, "new/a.envelope"), 0o600); x.pass(old) }, "new/a.envelope 10.3", "bad/a.envelope"},
		{"a FIFO", func(x *testSpool) {
			unix.Mkfifo(filepath.Join(x.dir, "new/a.eml"), 0o600)
			x.put("new/a.envelope", envelopeText(6))
		}, "new/a.envelope 10.4", "bad/a.eml bad/a.envelope"},
		{"malformed", func(x *testSpool) { pair(x, "new"); x.put("new/a.envelope", "nonsense\n") }, "new/a.envelope 5", "bad/a.eml bad/a.envelope"},
		{"short", func(x *testSpool) { pair(x, "new"); x.put("new/a.eml", "") }, "new/a.envelope 5.2", "bad/a.eml bad/a.envelope"},
		{"CR", func(x *testSpool) { pair(x, "cur"); x.put("cur/a.eml", "hell\r\n") }, "cur/a.envelope 4", "bad/a.eml bad/a.envelope"},
		{"NUL", func(x *testSpool) { pair(x, "new"); x.put("new/a.eml", "hell\x00\n") }, "new/a.envelope 4", "bad/a.eml bad/a.envelope"},
		{"SHA256", func(x *testSpool) {
			pair(x, "new")
			x.put("new/a.envelope", strings.TrimSuffix(envelopeText(6), "\n")+fmt.Sprintf("SHA256: %064d\n\n", 0))
		}, "new/a.envelope 5.2", "bad/a.eml bad/a.envelope"},
		{"another's envelope", func(x *testSpool) { pair(x, "new"); os.Chown(filepath.Join(x.dir, "new/a.envelope"), 12345, -1) }, "new/a.envelope 9.3", "bad/a.eml bad/a.envelope"},
		{"readable by all", func(x *testSpool) { pair(x, "new"); os.Chmod(filepath.Join(x.dir, "new/a.eml"), 0o644) }, "new/a.envelope 2.2", ""},
		{"half a requeue", func(x *testSpool) { x.put("new/a.eml", "hello\n"); x.put("bad/a.envelope", envelopeText(6)) }, "bad/a.envelope 9.7", "new/a.eml new/a.envelope"},
		{"making", func(x *testSpool) { x.put("cur/a.mail", "From: a@example.com\nTo: b@example.org\n\nx\n") }, "cur/a.mail A.3", "cur/a.eml cur/a.envelope"},
		{"made", func(x *testSpool) {
			pair(x, "cur")
			x.put("cur/a.mail", "From: a@example.com\nTo: b@example.org\n\nx\n")
		}, "cur/a.mail A.3", "cur/a.eml cur/a.envelope"},
		{"malformed drop", func(x *testSpool) { x.put("new/a.mail", "no header\n") }, "new/a.mail A.1", "bad/*.envelope bad/*.mail"},
		{"drop with two names", func(x *testSpool) {
			x.put("new/a.mail", "From: a@example.com\nTo: b@example.org\n\nx\n")
			x.link("new/a.mail", "tmp/t")
		}, "new/a.mail B", "cur/*.eml cur/*.envelope tmp/t"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if test.name == "another's envelope" && os.Geteuid() != 0 {
				t.Skip("only root can make files of two users")
			}
			x := newTestSpool(t)
			x.own()
			test.plant(x)
			v, err := OpenViewer(x.dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer v.Close()
			v.now = func() time.Time { return x.clock }
			viewed := &testSpool{Spool: v, t: t, dir: x.dir}
			said, all := viewed.check()
			if len(said) != 1 || said[0] != test.want {
				t.Fatalf("found %q, want %q", said, test.want)
			}
			f := &all[0]
			if test.after == "" {
				if f.Mendable() {
					t.Error("mendable")
				}
				if err := f.Mend(x.Spool); !errors.Is(err, errors.ErrUnsupported) {
					t.Errorf("mended: %v", err)
				}
				return
			}
			d, err := OpenDrainer(x.dir, Options{})
			if err != nil {
				t.Fatal(err)
			}
			d.now = func() time.Time { return x.clock }
			defer d.Close()
			y := &testSpool{Spool: d, t: t, dir: x.dir}
			err = f.Mend(d)
			for range 2 { // ErrBusy: it was mended in part
				if errors.Is(err, ErrAlone) || errors.Is(err, ErrLinked) || errors.Is(err, ErrBusy) {
					x.pass(LookAgain)
					err = f.Mend(d)
				}
			}
			if err != nil {
				t.Fatalf("mend: %v", err)
			}
			if d.Persists(f) {
				t.Error("it persists")
			}
			said, all = y.check()
			for i := range all { // what is in bad is worth a note
				if !all[i].Note {
					t.Errorf("still found: %q", said[i])
				}
			}
			y.holds(test.after)
		})
	}
}

// holds compares the names in the spool with patterns, in their order.
func (x *testSpool) holds(want string) {
	x.t.Helper()
	var got []string
	for _, name := range x.names() {
		if !strings.HasPrefix(name, "tmp/") || !strings.HasSuffix(name, ".record") {
			got = append(got, name)
		}
	}
	patterns := strings.Fields(want)
	if want == "nothing" {
		patterns = nil
	}
	ok := len(got) == len(patterns)
	for i := range patterns {
		if ok {
			match, err := filepath.Match(patterns[i], got[i])
			ok = match && err == nil
		}
	}
	if !ok {
		x.t.Errorf("spool holds %q, want %q", got, patterns)
	}
}

// TestCheckUnreadable: what the system does not let be read is found, and left as it
// is, since nothing is known of it.
func TestCheckUnreadable(t *testing.T) {
	for _, trouble := range []error{unix.EIO, unix.EMFILE, unix.EACCES} {
		x := newTestSpool(t)
		x.own()
		x.put("new/m.eml", "hello\n")
		x.put("new/m.envelope", envelopeText(6))
		x.put("new/d.mail", "From: a@example.com\nTo: b@example.org\n\nx\n")
		open := x.sys.open
		x.sys.open = func(dir int, name string, flags int, mode uint32) (int, error) {
			if name == "m.eml" || name == "d.mail" {
				return -1, trouble
			}
			return open(dir, name, flags, mode)
		}
		said, all := x.check()
		if want := []string{"new/d.mail 6.1", "new/m.envelope 6.1"}; !slices.Equal(said, want) {
			t.Errorf("%v: %q, want %q", trouble, said, want)
		}
		for _, f := range all {
			if f.Mendable() || !strings.Contains(f.Text, trouble.Error()) {
				t.Errorf("%v: %s, mendable %v", trouble, f.String(), f.Mendable())
			}
		}
	}
}

// TestCheckOddLeft: what is no file is not what a requeue left in new.
func TestCheckOddLeft(t *testing.T) {
	x := newTestSpool(t)
	x.own()
	x.make(treeEntry{Path: "new/a.eml", Type: "fifo"})
	x.make(treeEntry{Path: "tmp/old", Type: "dir"})
	x.put("bad/a.envelope", envelopeText(6))
	x.pass(Orphaned + time.Minute)
	said, _ := x.check()
	slices.Sort(said)
	if got := strings.Join(said, ", "); got != "bad/a.envelope 7, new/a.eml 10.1" {
		t.Errorf("found %s", got)
	}
	log := new(strings.Builder)
	x.log = slog.New(slog.NewTextHandler(log, nil))
	if err := x.NewSweeper().Sweep(t.Context(), x.clock); err != nil || log.Len() > 0 {
		t.Errorf("a sweep: %v, and %s", err, log)
	}
}

// TestCheckAgrees: check calls set aside what a claim calls so, and nothing else. A content
// in bad beside another's envelope decides nothing.
func TestCheckAgrees(t *testing.T) {
	x := newTestSpool(t)
	x.own()
	x.put("cur/a.eml", "hello\n")
	x.put("cur/a.envelope", envelopeText(6))
	x.link("cur/a.eml", "bad/a.eml")
	x.put("bad/a.envelope", envelopeText(6))
	_, all := x.check()
	if len(all) == 0 || strings.Contains(all[0].Text, "LEFT") || !strings.Contains(all[0].Text, "second name in bad") {
		t.Errorf("found %+v, want a second name in bad", all)
	}
	if _, err := x.Claim("a"); err != nil {
		t.Error(err)
	}
}
