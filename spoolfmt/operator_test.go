package spoolfmt

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// asideMessage sets a message aside after a delivery, a failure and an attempt.
func asideMessage(t *testing.T, x *testSpool) string {
	t.Helper()
	id := x.feed("Subject: x\n\nhello\n")
	c := x.claim(id)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	e := c.Envelope()
	err := errors.Join(
		e.SetOutcome("b@example.org", envelope.Outcome{Status: envelope.StatusDelivered, Time: x.clock}),
		e.SetOutcome("c@example.org", envelope.Outcome{Status: envelope.StatusFailed, Time: x.clock, Text: "no"}),
		e.Set("Attempts", "3"), e.Set("X-Kept", "yes"), c.SetAside("no such user"))
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestRequeue(t *testing.T) {
	x := newTestSpool(t)
	id := asideMessage(t, x)
	if err := x.Requeue(id); err != nil {
		t.Fatal(err)
	}
	x.has("new/"+id+".eml", "new/"+id+".envelope")
	c := x.claim(id)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	e := c.Envelope()
	if p := e.Pending(); len(p) != 1 || p[0].Address != "c@example.org" {
		t.Errorf("pending %v, want the one that had failed", p)
	}
	if e.Get("Attempts") != "" || e.Get("Set-Aside") != "" || e.Get("X-Kept") != "yes" {
		t.Errorf("fields %v", e.Fields())
	}
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
}

// TestRequeueFails fails every call of a requeue in turn: the message is then in
// bad or in new, whole, or its halves are in both, which another requeue mends.
func TestRequeueFails(t *testing.T) {
	for n := 1; ; n++ {
		x := newTestSpool(t)
		id := asideMessage(t, x)
		calls := 0
		fail := func() bool { calls++; return calls == n }
		real := systemCalls()
		x.sys.open = func(dir int, name string, flags int, mode uint32) (int, error) {
			if fail() {
				return -1, unix.EMFILE
			}
			return real.open(dir, name, flags, mode)
		}
		x.sys.write = func(fd int, p []byte) (int, error) {
			if fail() {
				return 0, unix.ENOSPC
			}
			return real.write(fd, p)
		}
		x.sys.fsync = func(fd int) error {
			if fail() {
				return unix.EIO
			}
			return real.fsync(fd)
		}
		x.sys.move = func(a int, from string, b int, to string) error {
			if fail() {
				return unix.EIO
			}
			return real.move(a, from, b, to)
		}
		x.sys.replace = func(a int, from string, b int, to string) error {
			if fail() {
				return unix.EIO
			}
			return real.replace(a, from, b, to)
		}
		err := x.Requeue(id)
		x.sys = real
		if calls < n {
			if err != nil || n < 8 {
				t.Fatalf("no call failed, %d calls: %v", calls, err)
			}
			return
		}
		if err == nil {
			t.Errorf("call %d failed, and Requeue says nothing", n)
		}
		if err := x.Requeue(id); err != nil && !errors.Is(err, ErrGone) {
			t.Errorf("call %d: requeued again: %v", n, err)
		}
		x.has("new/"+id+".eml", "new/"+id+".envelope")
		c := x.claim(id)
		if err := c.Load(); err != nil {
			t.Errorf("call %d: %v", n, err)
		}
		if err := c.Release(); err != nil {
			t.Error(err)
		}
	}
}

// TestRequeueHalf completes a requeue that was killed between its moves.
func TestRequeueHalf(t *testing.T) {
	x := newTestSpool(t)
	id := asideMessage(t, x)
	if err := os.Rename(filepath.Join(x.dir, "bad", id+".eml"), filepath.Join(x.dir, "new", id+".eml")); err != nil {
		t.Fatal(err)
	}
	if err := x.Requeue(id); err != nil {
		t.Fatal(err)
	}
	x.has("new/"+id+".eml", "new/"+id+".envelope")
}

func TestRequeueRefuses(t *testing.T) {
	x := newTestSpool(t)
	x.put("bad/short.eml", "x\n")
	x.put("bad/short.envelope", envelopeText(3))
	x.put("bad/cr.eml", "x\r\n")
	x.put("bad/cr.envelope", envelopeText(3))
	x.put("bad/syntax.eml", "x\n")
	x.put("bad/syntax.envelope", "Set-Aside: 2026-11-23T20:04:13.123456Z bad\nnonsense\n\n")
	x.put("bad/alone.envelope", envelopeText(3))
	x.put("bad/taken.eml", "x\n")
	x.put("bad/taken.envelope", envelopeText(2))
	x.put("new/taken.envelope", envelopeText(2))
	x.put("bad/two.eml", "x\n")
	x.put("bad/two.envelope", envelopeText(2))
	if err := os.Link(filepath.Join(x.dir, "bad/two.eml"), filepath.Join(x.dir, "cur/two.eml")); err != nil {
		t.Fatal(err)
	}
	before := strings.Join(x.names(), " ")
	for _, id := range []string{"short", "cr", "syntax", "alone"} {
		var bad *MalformedError
		if err := x.Requeue(id); !errors.As(err, &bad) || !strings.HasPrefix(bad.File, "bad/"+id) {
			t.Errorf("%s: %v, want a MalformedError of it", id, err)
		}
	}
	for id, want := range map[string]error{"taken": ErrBlocked, "none": ErrGone, "two": ErrLinked} {
		if err := x.Requeue(id); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", id, err, want)
		}
	}
	if after := strings.Join(x.names(), " "); after != before {
		t.Errorf("spool holds %s, and held %s", after, before)
	}
	// A person mends the envelope; the line with the reason may stay.
	x.put("bad/syntax.envelope", "Set-Aside: 2026-11-23T20:04:13.123456Z bad\n"+envelopeText(2))
	if err := x.Requeue("syntax"); err != nil {
		t.Error(err)
	}
	want := strings.TrimSuffix(envelopeText(2), "\n") + "Requeued-At: " + envelope.FormatTime(x.clock) + "\n\n"
	if got := x.read("new/syntax.envelope"); got != want {
		t.Errorf("envelope %q, want %q", got, want)
	}
}

// TestRequeueBlocked: while new or cur has a file of the id, nothing of the message changes.
func TestRequeueBlocked(t *testing.T) {
	for _, there := range []string{"new/m.eml", "new/m.envelope", "cur/m.eml", "cur/m.envelope", "cur/m.done"} {
		x := newTestSpool(t)
		text := strings.TrimSuffix(envelopeText(2), "\n") + "Attempts: 7\n\n"
		x.put("bad/m.eml", "x\n")
		x.put("bad/m.envelope", text)
		x.put(there, "y\n")
		if err := x.Requeue("m"); !errors.Is(err, ErrBlocked) {
			t.Errorf("%s: %v, want ErrBlocked", there, err)
		}
		x.has("bad/m.eml", "bad/m.envelope", there)
		if got := x.read("bad/m.envelope"); got != text {
			t.Errorf("%s: the envelope was written again: %q", there, got)
		}
	}
}

// TestRequeueDrop sends a drop that was malformed on its way, once a person has
// mended it.
func TestRequeueDrop(t *testing.T) {
	x := newTestSpool(t)
	x.put("new/d.mail", "Subject: nobody gets it\n\n")
	if _, err := x.ClaimDrop("d.mail"); err == nil {
		t.Fatal("a drop without recipients was claimed")
	}
	names := x.names()
	if len(names) != 2 || !strings.HasSuffix(names[1], ".mail") {
		t.Fatalf("spool holds %v", names)
	}
	id := strings.TrimSuffix(strings.TrimPrefix(names[1], "bad/"), ".mail")
	if err := x.Requeue(id); err != nil {
		t.Fatal(err)
	}
	x.has("new/" + id + ".mail")
	if err := x.Delete(id); err != nil {
		t.Fatal(err)
	}
	x.has()
}

// TestDeleteAmbiguous: what a feeder puts into new under an id that bad uses is
// another message, and stays whichever is meant.
func TestDeleteAmbiguous(t *testing.T) {
	for name, files := range map[string][]string{
		"two drops":          {"bad/x.mail", "new/x.mail"},
		"message and drop":   {"bad/x.eml", "bad/x.envelope", "new/x.mail"},
		"two messages":       {"bad/x.eml", "bad/x.envelope", "new/x.eml", "new/x.envelope"},
		"one of them in cur": {"bad/x.eml", "bad/x.envelope", "cur/x.eml", "cur/x.envelope"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newTestSpool(t)
			for _, file := range files {
				text := testMail
				if strings.HasSuffix(file, ".envelope") {
					text = envelopeText(len(testMail))
				}
				x.put(file, text)
			}
			if err := x.Delete("x"); !errors.Is(err, ErrBlocked) {
				t.Errorf("%v, want ErrBlocked", err)
			}
			if got := x.names(); len(got) != len(files) {
				t.Errorf("spool holds %q, of %q", got, files)
			}
			if err := x.DeleteAside("x"); err != nil {
				t.Error(err)
			}
			if got := x.namesIn("bad"); len(got) > 0 {
				t.Errorf("left in bad: %q", got)
			}
			if err := x.DeleteAside("x"); !errors.Is(err, ErrGone) || len(x.names()) == 0 {
				t.Errorf("again: %v, left %q", err, x.names())
			}
		})
	}
}

// TestDeletePastOrphan: a feeder that keeps a content alone and locked in new does not keep
// a person from deleting what bad has under that id.
func TestDeletePastOrphan(t *testing.T) {
	x := newTestSpool(t)
	x.put("new/x.eml", "theirs\n")
	f, err := os.Open(filepath.Join(x.dir, "new/x.eml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := lock(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	if err := x.Delete("x"); !errors.Is(err, ErrBusy) {
		t.Errorf("with nothing in bad: %v", err)
	}
	x.put("bad/x.eml", "x\n")
	x.put("bad/x.envelope", envelopeText(2))
	if err := x.Delete("x"); err != nil {
		t.Error(err)
	}
	x.has("new/x.eml")
}

func TestDelete(t *testing.T) {
	x := newTestSpool(t)
	fresh, deferred, aside := x.feed("1\n"), x.feed("2\n"), asideMessage(t, x)
	c := x.claim(deferred)
	if err := x.Delete(deferred); !errors.Is(err, ErrBusy) {
		t.Errorf("while it is delivered: %v", err)
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	x.put("bad/reason.envelope", "Set-Aside: x\n")
	x.put("bad/reason.mail", "x\n")
	x.put("bad/orphan.eml", "x\n")
	if err := errors.Join(unix.Mkfifo(filepath.Join(x.dir, "bad/fifo.eml"), 0o600)); err != nil {
		t.Fatal(err)
	}
	x.put("bad/fifo.envelope", envelopeText(1))
	for _, id := range []string{fresh, deferred, aside, "reason", "orphan", "fifo"} {
		if err := x.Delete(id); err != nil {
			t.Errorf("%s: %v", id, err)
		}
		if err := x.Delete(id); !errors.Is(err, ErrGone) {
			t.Errorf("%s, again: %v", id, err)
		}
	}
	x.has()
}

func TestViewer(t *testing.T) {
	x := newTestSpool(t)
	id := x.feed("hello\n")
	if err := os.Remove(filepath.Join(x.dir, "bad")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/", filepath.Join(x.dir, "new", "link.envelope")); err != nil {
		t.Fatal(err)
	}
	v, err := OpenViewer(x.dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Missing(Bad); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("bad: %v", err)
	}
	if err := v.Missing(New); err != nil {
		t.Error(err)
	}
	e, err := v.ReadEnvelope(New, id, nil)
	if err != nil || e.Size() != 6 {
		t.Errorf("envelope %v, %v", e, err)
	}
	var bad *MalformedError
	if _, err := v.ReadEnvelope(New, "link", nil); !errors.As(err, &bad) {
		t.Errorf("a link: %v", err)
	}
	if _, err := v.ReadEnvelope(New, "none", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
	if data, err := v.ReadFile(New, id+".eml", 4, nil); string(data) != "hell" || err != nil {
		t.Errorf("read %q, %v", data, err)
	}
	c := x.claim(id)
	if busy, err := v.Locked(Cur, id+".eml"); !busy || err != nil {
		t.Errorf("locked: %v, %v", busy, err)
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	if busy, err := v.Locked(Cur, id+".eml"); busy || err != nil {
		t.Errorf("released: %v, %v", busy, err)
	}
	if err := os.Mkdir(filepath.Join(x.dir, "bad"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := v.Close(); err != nil {
		t.Error(err)
	}
}
