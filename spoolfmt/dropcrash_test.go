package spoolfmt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/crash"
)

// record writes down what is done to the spool from now on, for package crash.
func (x *testSpool) record() *[]crash.Op {
	real, ops, open := systemCalls(), &[]crash.Op{}, map[int]string{}
	path := func(dir int, name string) string { return Box(slices.Index(x.dirs[:], dir)).String() + "/" + name }
	add := func(err error, op crash.Op) error {
		if err == nil {
			*ops = append(*ops, op)
		}
		return err
	}
	x.sys.open = func(dir int, name string, flags int, mode uint32) (int, error) {
		fd, err := real.open(dir, name, flags, mode)
		if err == nil {
			open[fd] = path(dir, name)
		}
		if flags&unix.O_CREAT == 0 {
			return fd, err
		}
		return fd, add(err, crash.Op{Kind: crash.Create, Path: path(dir, name)})
	}
	x.sys.write = func(fd int, p []byte) (int, error) {
		n, err := real.write(fd, p)
		return n, add(err, crash.Op{Kind: crash.Write, Path: open[fd], Data: slices.Clone(p[:max(n, 0)])})
	}
	x.sys.fsync = func(fd int) error {
		if b := slices.Index(x.dirs[:], fd); b >= 0 {
			return add(real.fsync(fd), crash.Op{Kind: crash.SyncDir, Path: Box(b).String()})
		}
		return add(real.fsync(fd), crash.Op{Kind: crash.SyncFile, Path: open[fd]})
	}
	moved := func(from, to string) {
		for fd, p := range open {
			if p == from {
				open[fd] = to
			}
		}
	}
	x.sys.move = func(a int, from string, b int, to string) error {
		err := add(real.move(a, from, b, to), crash.Op{Kind: crash.Move, Path: path(a, from), To: path(b, to)})
		if err == nil {
			moved(path(a, from), path(b, to))
		}
		return err
	}
	x.sys.replace = func(a int, from string, b int, to string) error {
		err := add(real.replace(a, from, b, to), crash.Op{Kind: crash.Move, Path: path(a, from), To: path(b, to)})
		if err == nil {
			moved(path(a, from), path(b, to))
		}
		return err
	}
	x.sys.link = func(a int, from string, b int, to string) error {
		return add(real.link(a, from, b, to), crash.Op{Kind: crash.Link, Path: path(a, from), To: path(b, to)})
	}
	x.sys.unlink = func(dir int, name string) error {
		return add(real.unlink(dir, name), crash.Op{Kind: crash.Remove, Path: path(dir, name)})
	}
	return ops
}

// dropOps records the life of a drop: fed durably, delivered to the first
// recipient or to both, and brought to its end. What is known outside the spool
// is in it as what is said.
func dropOps(t *testing.T, end string) []crash.Op {
	t.Helper()
	x := newTestSpool(t)
	ops := x.record()
	say := func(what string) { *ops = append(*ops, crash.Op{Kind: crash.Say, Data: []byte(what)}) }
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	fd, err := x.create("a")
	must(err)
	_, err = x.fillAndClose(fd, []byte(testMail))
	must(errors.Join(err, x.sys.move(x.dirs[Tmp], "a", x.dirs[New], "a.mail"), x.sys.fsync(x.dirs[New])))
	say("accepted")
	c, err := x.ClaimDrop("a.mail")
	must(err)
	say("agent")
	switch end {
	case "finished":
		must(c.Finish())
	case "recorded":
		must(c.recordOne(x.clock))
		say("recorded")
		must(c.Release())
		c = x.claim(c.ID())
		must(c.Load())
		say("agent again")
		must(c.Finish())
	case "aside":
		must(c.SetAside("a test"))
	}
	must(x.Flush())
	say("ended")
	return *ops
}

// TestDropCuts makes states that a power cut could leave of a drop, and lets a
// drainer go on from each.
func TestDropCuts(t *testing.T) {
	for _, end := range []string{"finished", "recorded", "aside"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			ops := dropOps(t, end)
			n, err := crash.States(ops, max(40, statesPerCut()), 1, func(s crash.State) error { return afterCut(t, s, end) })
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%d operations, %d states", len(ops), n)
			if n < 40 {
				t.Errorf("%d states of %d operations: that is no record", n, len(ops))
			}
		})
	}
}

// TestDropCutsFindDefects leaves out what the states above must show to be needed.
func TestDropCutsFindDefects(t *testing.T) {
	all := func(kind crash.Kind, suffix string) func([]crash.Op) []crash.Op {
		return func(ops []crash.Op) []crash.Op {
			return slices.DeleteFunc(ops, func(o crash.Op) bool { return o.Kind == kind && strings.HasSuffix(o.Path, suffix) })
		}
	}
	// removed is the place where the drop goes, after a sync of cur.
	removed := func(ops []crash.Op) int {
		i := slices.IndexFunc(ops, func(o crash.Op) bool { return o.Kind == crash.Remove && strings.HasSuffix(o.Path, ".mail") })
		if i < 1 || ops[i-1].Kind != crash.SyncDir || ops[i-1].Path != "cur" {
			t.Fatalf("operations %v", ops)
		}
		return i
	}
	// placed is where the content comes to cur, after a sync of new.
	placed := func(ops []crash.Op) int {
		i := slices.IndexFunc(ops, func(o crash.Op) bool { return o.Kind == crash.Move && strings.HasSuffix(o.To, ".eml") })
		if i < 1 || ops[i-1].Kind != crash.SyncDir || ops[i-1].Path != "new" {
			t.Fatalf("operations %v", ops)
		}
		return i
	}
	swapped := func(ops []crash.Op, i int) []crash.Op {
		ops[i-1], ops[i] = ops[i], ops[i-1]
		return ops
	}
	for name, planted := range map[string]struct {
		end   string
		plant func([]crash.Op) []crash.Op
	}{
		"content not synced":     {"recorded", all(crash.SyncFile, ".eml")},
		"envelope not synced":    {"recorded", all(crash.SyncFile, ".envelope")},
		"record not synced":      {"recorded", all(crash.SyncFile, ".record")},
		"new not synced":         {"recorded", all(crash.SyncDir, "new")},
		"new synced too late":    {"recorded", func(ops []crash.Op) []crash.Op { return slices.Delete(ops, placed(ops)-1, placed(ops)) }},
		"cur never synced":       {"recorded", all(crash.SyncDir, "cur")},
		"cur not synced":         {"recorded", func(ops []crash.Op) []crash.Op { return slices.Delete(ops, removed(ops)-1, removed(ops)) }},
		"drop removed too early": {"recorded", func(ops []crash.Op) []crash.Op { return swapped(ops, removed(ops)) }},
		"end not synced":         {"finished", all(crash.SyncDir, "cur")},
		"aside not synced":       {"aside", all(crash.SyncDir, "bad")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ops := dropOps(t, planted.end)
			before := slices.Clone(ops)
			ops = planted.plant(ops)
			if reflect.DeepEqual(ops, before) {
				t.Fatal("nothing was planted")
			}
			if n, err := crash.States(ops, 80, 1, func(s crash.State) error { return afterCut(t, s, planted.end) }); err == nil {
				t.Errorf("not found in %d states", n)
			} else {
				t.Log(err)
			}
		})
	}
}

// afterCut lets a drainer deliver what a cut has left, and compares it with what
// was known before the cut.
func afterCut(t *testing.T, s crash.State, end string) error {
	dir, err := stateDir(t)
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // the test's directory goes anyway
	if err := s.Make(dir); err != nil {
		return err
	}
	sp, err := OpenDrainer(dir, Options{})
	if err != nil {
		return err
	}
	sp.sys.fsync = func(int) error { return nil } // of the model, not of this disk
	clock := time.Now()
	sp.now = func() time.Time { return clock }
	var got []string
	for range 3 {
		for _, name := range dropNames(sp) {
			c, err := takeNamed(sp, name)
			if err != nil {
				continue // what should pass; what does not is found below
			}
			if err := c.Load(); err != nil {
				return errors.Join(fmt.Errorf("%s: %w", name, err), c.Release())
			}
			text, err := whole(c.Content())
			if err != nil || text != testMailContent {
				return fmt.Errorf("%s: content %q: %w", name, text, err)
			}
			to := ""
			for _, p := range c.Envelope().Pending() {
				to += p.Address + " "
			}
			got = append(got, to)
			if err := c.Finish(); err != nil {
				return err
			}
		}
		if err := sp.Flush(); err != nil {
			return err
		}
		clock = clock.Add(2 * LookAgain)
	}
	left := dropNames(sp)
	aside, err := filepath.Glob(filepath.Join(dir, "bad", "*.envelope"))
	if err := errors.Join(err, sp.Close()); err != nil {
		return err
	}
	for _, e := range aside {
		if _, err := os.Stat(strings.TrimSuffix(e, ".envelope") + ".eml"); err != nil && slices.Contains(s.Said, "accepted") {
			return fmt.Errorf("in bad without its content: %w", err)
		}
	}
	return fateOfDrop(s, end, got, len(aside), left)
}

// fateOfDrop judges: got is whom each delivery was for.
func fateOfDrop(s crash.State, end string, got []string, aside int, left []string) error {
	said := func(what string) bool { return slices.Contains(s.Said, what) }
	const both, second = "b@example.org hidden@example.net ", "hidden@example.net "
	var want []string
	switch n := len(got) + aside; {
	case len(left) > 0:
		return fmt.Errorf("left: %q", left)
	case n > 1:
		return fmt.Errorf("delivered to %q, %d set aside", got, aside)
	case !said("accepted"):
		return nil // whole or not at all: seen above
	case said("ended") && (len(got) > 0 || (end == "aside") != (aside == 1)):
		return fmt.Errorf("ended; delivered to %q, %d set aside", got, aside)
	case said("ended"):
		return nil
	case n == 0 && !(said("agent") && end == "finished" || said("agent again")):
		return errors.New("lost")
	case aside > 0 && (!said("agent") || end != "aside"):
		return errors.New("set aside")
	case said("recorded"):
		want = []string{second}
	case said("agent") && end == "recorded":
		want = []string{both, second}
	default:
		want = []string{both}
	}
	if len(got) > 0 && !slices.Contains(want, got[0]) {
		return fmt.Errorf("delivered to %q, want one of %q", got, want)
	}
	return nil
}

// dropNames are the names that stand for messages, and contents in cur.
func dropNames(sp *Spool) []string {
	var names []string
	for _, b := range []Box{New, Cur} {
		_ = sp.Scan(b, func(e Entry) error { // a box that cannot be read shows as a loss
			if e.Kind != KindOther {
				names = append(names, b.String()+"/"+e.Name)
			}
			return nil
		})
	}
	return names
}

func takeNamed(sp *Spool, path string) (*Claim, error) {
	box, name, _ := strings.Cut(path, "/")
	switch id, kind := SplitName(name); {
	case kind == KindDrop && box == "new":
		return sp.ClaimDrop(name)
	case kind == KindDrop:
		return sp.RecoverDrop(name)
	default:
		return sp.Claim(id)
	}
}
