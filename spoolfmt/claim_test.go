package spoolfmt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

func TestClaimAndFinish(t *testing.T) {
	x := newTestSpool(t)
	id := x.feed("hello\n")
	c := x.claim(id)
	x.has("cur/"+id+".eml", "cur/"+id+".envelope")
	x.cannotClaim(id, ErrBusy)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	if got := c.Envelope().Sender().Address; got != "a@example.com" {
		t.Errorf("sender %q", got)
	}
	if c.Content() != c.LockedFile() {
		t.Error("our own content was copied")
	}
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	x.has("cur/"+id+".done", "cur/"+id+".eml")
	x.cannotClaim(id, ErrBusy)
	if err := x.Spool.Flush(); err != nil {
		t.Fatal(err)
	}
	x.has("cur/" + id + ".done") // until the removal of the content is durable
	if !x.Unflushed() {
		t.Error("nothing is left to do")
	}
	if err := x.Spool.Flush(); err != nil {
		t.Fatal(err)
	}
	x.has()
	x.cannotClaim(id, ErrGone)
	if x.Unflushed() {
		t.Error("something is left to do")
	}
}

// TestFlushKeepsAnothersDone: the .done file that the second Flush finds may be of
// another message, which another drainer finished under the same id.
func TestFlushKeepsAnothersDone(t *testing.T) {
	for _, loaded := range []bool{true, false} {
		x := newTestSpool(t)
		finish := func(s *Spool) {
			x.put("new/m.eml", "x\n")
			x.put("new/m.envelope", envelopeText(2))
			c, err := s.Claim("m")
			if err == nil && loaded {
				err = c.Load()
			}
			if err == nil {
				err = c.Finish()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		finish(x.Spool)
		if err := x.Spool.Flush(); err != nil {
			t.Fatal(err)
		}
		x.has("cur/m.done")
		other, err := OpenDrainer(x.dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := other.Claim("m"); !errors.Is(err, ErrGone) {
			t.Fatal(err)
		}
		x.has()
		finish(other)
		if err := x.Spool.Flush(); err != nil {
			t.Fatal(err)
		}
		x.has("cur/m.done", "cur/m.eml")
		if err := other.Flush(); err != nil {
			t.Fatal(err)
		}
		// A new file can have the inode of one that is gone.
		if err := os.Chtimes(filepath.Join(x.dir, "cur/m.done"), x.clock, x.clock.Add(time.Hour)); err != nil {
			t.Fatal(err)
		}
		if err := other.Flush(); err != nil {
			t.Fatal(err)
		}
		x.has("cur/m.done")
		if err := other.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestFullDirectoryAsDone: a directory in the place of .done, with something in it, stays.
// The message beside it is delivered or deleted, and then the directory is logged once.
func TestFullDirectoryAsDone(t *testing.T) {
	for name, end := range map[string]func(*testSpool) error{
		"delivered": func(x *testSpool) error { return errors.Join(x.claim("m").Finish(), x.Flush()) },
		"deleted":   func(x *testSpool) error { return x.Delete("m") },
	} {
		t.Run(name, func(t *testing.T) {
			x := newTestSpool(t)
			var log bytes.Buffer
			x.log = slog.New(slog.NewTextHandler(&log, nil))
			x.put("cur/m.eml", "x\n")
			x.put("cur/m.envelope", envelopeText(2))
			if err := os.Mkdir(filepath.Join(x.dir, "cur/m.done"), 0o700); err != nil {
				t.Fatal(err)
			}
			x.put("cur/m.done/x", "")
			if err := end(x); err != nil {
				t.Fatal(err)
			}
			x.has("cur/m.done")
			w := x.NewSweeper()
			for range 2 {
				if err := w.Sweep(t.Context(), x.clock); err != nil {
					t.Fatal(err)
				}
			}
			if got := log.String(); strings.Count(got, "cur/m.done: cannot be removed") != 1 || strings.Count(got, "\n") != 1 {
				t.Errorf("log: %s", got)
			}
		})
	}
}

func TestFinishFlushesByItself(t *testing.T) {
	x := newTestSpool(t)
	for range maxFinished {
		c := x.claim(x.feed("x\n"))
		if err := c.Finish(); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range x.names() {
		if !strings.HasSuffix(name, ".done") {
			t.Errorf("%s is still there", name)
		}
	}
}

func TestFlushTriesAgain(t *testing.T) {
	x := newTestSpool(t)
	id := x.feed("x\n")
	c := x.claim(id)
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	x.sys.fsync = func(int) error { return errInjected }
	if err := x.Flush(); !errors.Is(err, errInjected) {
		t.Fatalf("flush: %v", err)
	}
	x.has("cur/"+id+".done", "cur/"+id+".eml")
	x.sys = systemCalls()
	if err := x.Flush(); err != nil {
		t.Fatal(err)
	}
	x.has()
}

func TestReleaseAndClaimAgain(t *testing.T) {
	x := newTestSpool(t)
	id := x.feed("x\n")
	for range 3 {
		c := x.claim(id)
		if err := c.Load(); err != nil {
			t.Fatal(err)
		}
		if err := c.Release(); err != nil {
			t.Fatal(err)
		}
	}
	x.has("cur/"+id+".eml", "cur/"+id+".envelope")
}

func TestRecord(t *testing.T) {
	x := newTestSpool(t)
	id := x.feed("x\n")
	c := x.claim(id)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	if err := c.Reserve(); err != nil {
		t.Fatal(err)
	}
	next := x.clock.Add(time.Hour).Truncate(time.Microsecond)
	if err := c.Envelope().SetOutcome("b@example.org", envelope.Outcome{Status: envelope.StatusDelivered, Time: x.clock}); err != nil {
		t.Fatal(err)
	}
	if err := c.Envelope().Set("Attempts", "1"); err != nil {
		t.Fatal(err)
	}
	if err := c.Record(next); err != nil {
		t.Fatal(err)
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	info, err := x.Stat(Cur, id+".envelope")
	if err != nil {
		t.Fatal(err)
	}
	if !info.ModTime.Equal(next) {
		t.Errorf("next attempt %v, want %v", info.ModTime, next)
	}
	c = x.claim(id)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	pending := c.Envelope().Pending()
	if len(pending) != 1 || pending[0].Address != "c@example.org" || c.Envelope().Get("Attempts") != "1" {
		t.Errorf("pending %v, attempts %q", pending, c.Envelope().Get("Attempts"))
	}
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := x.Flush(); err != nil {
		t.Fatal(err)
	}
	x.has()
}

// TestRecordFails fails each call of a record in turn: the old envelope or the
// new one is there, and the message is still ours.
func TestRecordFails(t *testing.T) {
	calls := []struct {
		name   string
		inject func(*syscalls, func() bool)
		times  int
	}{
		{"fsync", func(s *syscalls, hit func() bool) {
			real := s.fsync
			s.fsync = func(fd int) error {
				if hit() {
					return errInjected
				}
				return real(fd)
			}
		}, 4},
		{"write", func(s *syscalls, hit func() bool) {
			real := s.write
			s.write = func(fd int, p []byte) (int, error) {
				if hit() {
					return 0, unix.ENOSPC
				}
				return real(fd, p)
			}
		}, 1},
		{"replace", func(s *syscalls, hit func() bool) {
			real := s.replace
			s.replace = func(a int, from string, b int, to string) error {
				if hit() {
					return errInjected
				}
				return real(a, from, b, to)
			}
		}, 1},
	}
	for _, call := range calls {
		for at := 1; at <= call.times; at++ {
			t.Run(fmt.Sprint(call.name, at), func(t *testing.T) {
				x := newTestSpool(t)
				id := x.feed("x\n")
				c := x.claim(id)
				if err := c.Load(); err != nil {
					t.Fatal(err)
				}
				if err := c.Reserve(); err != nil {
					t.Fatal(err)
				}
				if err := c.Envelope().Set("Attempts", "7"); err != nil {
					t.Fatal(err)
				}
				n := at
				call.inject(&x.sys, func() bool { n--; return n == 0 })
				if err := c.Record(time.Time{}); err == nil {
					t.Fatal("record succeeded")
				}
				x.sys = systemCalls()
				x.cannotClaim(id, ErrBusy)
				if err := c.Record(time.Time{}); err != nil {
					t.Fatalf("the second record: %v", err)
				}
				if err := c.Release(); err != nil {
					t.Fatal(err)
				}
				c = x.claim(id)
				if err := c.Load(); err != nil {
					t.Fatal(err)
				}
				if got := c.Envelope().Get("Attempts"); got != "7" {
					t.Errorf("Attempts %q", got)
				}
				if err := c.Release(); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}

// TestNoRoomNoReserve: without room, only the last recipient can be delivered to.
func TestNoRoomNoReserve(t *testing.T) {
	x := newTestSpool(t)
	c := x.claim(x.feed("x\n"))
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	x.sys.reserve = func(int, int64) error { return unix.ENOSPC }
	if err := c.Reserve(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("reserve: %v", err)
	}
	for _, status := range []envelope.Status{envelope.StatusFailed, envelope.StatusDelivered} {
		c = x.claimAgain(c)
		if err := c.Envelope().SetOutcome("b@example.org", envelope.Outcome{Status: status, Time: x.clock, Text: "x"}); err != nil {
			t.Fatal(err)
		}
		// To be set aside, after another has failed, the message needs room.
		if err := c.Reserve(); (err == nil) != (status == envelope.StatusDelivered) {
			t.Errorf("reserve for the last recipient after %v: %v", status, err)
		}
	}
	if c.HasRoom() {
		t.Error("there is room where none is")
	}
	if err := c.Record(time.Time{}); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("record: %v", err)
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
}

// claimAgain gives a message back and claims it anew.
func (x *testSpool) claimAgain(c *Claim) *Claim {
	x.t.Helper()
	if err := c.Release(); err != nil {
		x.t.Fatal(err)
	}
	c = x.claim(c.ID())
	if err := c.Load(); err != nil {
		x.t.Fatal(err)
	}
	return c
}

// TestDeletedIsNotRecorded: an operator removed the envelope under the claim.
func TestDeletedIsNotRecorded(t *testing.T) {
	x := newTestSpool(t)
	id := x.feed("x\n")
	c := x.claim(id)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(x.dir, "cur", id+".envelope")); err != nil {
		t.Fatal(err)
	}
	if err := c.Record(time.Time{}); err == nil {
		t.Error("record brought a deleted message back")
	}
	if _, err := x.Stat(Cur, id+".envelope"); err == nil {
		t.Error("the envelope is there again")
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
}

func TestSetAside(t *testing.T) {
	x := newTestSpool(t)
	id := x.feed("x\n")
	x.put("bad/"+id+".eml", "an older one")
	x.put("bad/"+id+".1.envelope", "another")
	c := x.claim(id)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	if err := c.SetAside("user unknown\nForged: yes"); err != nil {
		t.Fatal(err)
	}
	x.has("bad/"+id+".eml", "bad/"+id+".1.envelope", "bad/"+id+".2.eml", "bad/"+id+".2.envelope")
	env := x.read("bad/" + id + ".2.envelope")
	if !strings.Contains(env, "user unknown?Forged: yes\n") {
		t.Errorf("reason missing or forged:\n%s", env)
	}
	if _, err := envelope.Parse([]byte(env)); err != nil {
		t.Errorf("the envelope set aside: %v", err)
	}
	if got := x.read("bad/" + id + ".2.eml"); got != "x\n" {
		t.Errorf("content %q", got)
	}
}

// TestSetAsideFails fails each changing call of a set aside in turn, once;
// the message must stay ours or be in bad, whole, and never in both.
func TestSetAsideFails(t *testing.T) {
	for at := 1; at <= 12; at++ {
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			x := newTestSpool(t)
			id := x.feed("x\n")
			c := x.claim(id)
			if err := c.Load(); err != nil {
				t.Fatal(err)
			}
			n := at
			hit := func() bool { n--; return n == 0 }
			real := systemCalls()
			x.sys.fsync = func(fd int) error {
				if hit() {
					return errInjected
				}
				return real.fsync(fd)
			}
			x.sys.link = func(a int, from string, b int, to string) error {
				if hit() {
					return errInjected
				}
				return real.link(a, from, b, to)
			}
			x.sys.move = func(a int, from string, b int, to string) error {
				if hit() {
					return errInjected
				}
				return real.move(a, from, b, to)
			}
			err := c.SetAside("reason")
			failed := n <= 0
			if failed && err == nil {
				t.Error("a failed call was not reported")
			}
			x.sys = systemCalls()
			if err := c.SetAside("reason"); err != nil {
				t.Fatalf("the second try: %v", err)
			}
			// After the decision, what stays in cur is for any drainer to remove.
			if len(x.names()) > 2 {
				x.cannotClaim(id, ErrGone)
			}
			x.has("bad/"+id+".eml", "bad/"+id+".envelope")
		})
	}
}

func TestSetAsideWithoutLink(t *testing.T) {
	x := newTestSpool(t)
	x.sys.link = func(int, string, int, string) error { return unix.EPERM }
	id := x.feed(strings.Repeat("line\n", 10000))
	c := x.claim(id)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	if err := c.SetAside("reason"); err != nil {
		t.Fatal(err)
	}
	x.has("bad/"+id+".eml", "bad/"+id+".envelope")
	if got := x.read("bad/" + id + ".eml"); got != strings.Repeat("line\n", 10000) {
		t.Errorf("content of %d octets", len(got))
	}
}

// TestMalformed: every message here must reach bad with a reason that says
// where it is wrong, and none may be loaded.
func TestMalformed(t *testing.T) {
	tests := []struct{ name, envelope, content, reason string }{
		{"size", envelopeText(3), "hello\n", "the envelope says 3"},
		{"empty content after a power cut", envelopeText(6), "", "content has 0 octets"},
		{"CR", envelopeText(7), "hello\r\n", "CR at octet 6"},
		{"NUL", envelopeText(3), "a\x00\n", "NUL at octet 2"},
		{"CRC32C", strings.Replace(envelopeText(2), "Size", "CRC32C: 00000000\nSize", 1), "a\n", "CRC32C"},
		{"SHA256", strings.Replace(envelopeText(2), "Size", "SHA256: "+strings.Repeat("0", 64)+"\nSize", 1), "a\n", "SHA256"},
		{"truncated", strings.TrimSuffix(envelopeText(2), "\n"), "a\n", "envelope:"},
		{"version", strings.Replace(envelopeText(2), ": 1", ": 9", 1), "a\n", "9"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := newTestSpool(t)
			x.put("new/m.eml", tt.content)
			x.put("new/m.envelope", tt.envelope)
			if got := x.malformed("m"); !strings.Contains(got, tt.reason) {
				t.Errorf("reason %q, want %q in it", got, tt.reason)
			}
			x.has("bad/m.eml", "bad/m.envelope")
			if got := x.read("bad/m.envelope"); !strings.Contains(got, "Set-Aside: ") {
				t.Errorf("no reason in:\n%s", got)
			}
			if got := x.read("bad/m.eml"); got != tt.content {
				t.Errorf("content is now %q", got)
			}
		})
	}
}

// TestOwnsWhatItOpened: between the open and the lock the name may have become
// another message's, or nobody's, and the lock of the old file is worth nothing.
func TestOwnsWhatItOpened(t *testing.T) {
	x := newTestSpool(t)
	for name, meanwhile := range map[string]func() error{
		"gone": func() error { return os.Remove(filepath.Join(x.dir, "new/m.eml")) },
		"another's": func() error {
			x.put("tmp/other", "other\n")
			return os.Rename(filepath.Join(x.dir, "tmp/other"), filepath.Join(x.dir, "new/m.eml"))
		},
	} {
		x.put("new/m.eml", "hello\n")
		f, err := x.openRegular(New, "m.eml")
		if err != nil {
			t.Fatal(err)
		}
		if err := x.Spool.lockVerified(f, New, "m.eml"); err != nil {
			t.Errorf("%s: before that: %v", name, err)
		}
		if err := meanwhile(); err != nil {
			t.Fatal(err)
		}
		if err := x.Spool.lockVerified(f, New, "m.eml"); !errors.Is(err, ErrBusy) {
			t.Errorf("%s: %v, want %v", name, err, ErrBusy)
		}
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestOpen: each has a position of its own in the content that was claimed,
// whatever stands by its name, and whoever owns it.
func TestOpen(t *testing.T) {
	for _, test := range []struct {
		name string
		with func(x *testSpool)
	}{
		{"by name", func(*testSpool) {}},
		{"name gone", func(x *testSpool) {
			if err := os.Remove(filepath.Join(x.dir, "cur/m.eml")); err != nil {
				x.t.Error(err)
			}
		}},
		{"another's name", func(x *testSpool) {
			x.put("tmp/other", "other\n")
			if err := os.Rename(filepath.Join(x.dir, "tmp/other"), filepath.Join(x.dir, "cur/m.eml")); err != nil {
				x.t.Error(err)
			}
		}},
		{"another's content", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			x := newTestSpool(t)
			x.put("new/m.eml", "hello\n")
			x.put("new/m.envelope", envelopeText(6))
			if test.with == nil {
				if os.Geteuid() != 0 {
					t.Skip("only root can give files away")
				}
				for _, name := range []string{"new/m.eml", "new/m.envelope"} {
					if err := os.Chown(filepath.Join(x.dir, name), 65534, -1); err != nil {
						t.Fatal(err)
					}
				}
			}
			c := x.claim("m")
			if err := c.Load(); err != nil {
				t.Fatal(err)
			}
			if test.with != nil {
				test.with(x)
			}
			for range 2 {
				f, err := c.Open()
				if err != nil {
					t.Fatal(err)
				}
				if got, err := io.ReadAll(f); string(got) != "hello\n" || err != nil {
					t.Errorf("%q, %v", got, err)
				}
				if at, err := c.Content().Seek(0, io.SeekCurrent); test.with != nil && at != 0 || err != nil {
					t.Errorf("the claim's own position is %d, %v", at, err)
				}
				if err := f.Close(); err != nil {
					t.Error(err)
				}
			}
			if left := x.namesIn("tmp"); len(left) > 0 {
				t.Errorf("left: %v", left)
			}
			if err := c.Release(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestChecksumsThatFit(t *testing.T) {
	x := newTestSpool(t)
	x.put("new/m.eml", "123456789\n")
	sums := "SHA256: 6d78392a5886177fe5b86e585a0b695a2bcd01a05504b3c4e38bc8eeb21e8326\nCRC32C: a8dab577\n"
	x.put("new/m.envelope", strings.Replace(envelopeText(10), "Size", sums+"Size", 1))
	c := x.claim("m")
	if err := c.Load(); err != nil {
		t.Error(err)
	}
	if err := c.Release(); err != nil {
		t.Error(err)
	}
}

func TestOddFiles(t *testing.T) {
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	odd := map[string]func(path string) error{
		"symlink":   func(p string) error { return os.Symlink(secret, p) },
		"fifo":      func(p string) error { return unix.Mkfifo(p, 0o666) },
		"directory": func(p string) error { return os.Mkdir(p, 0o777) },
	}
	if os.Geteuid() == 0 {
		odd["device"] = makeDevice
	}
	for name, make := range odd {
		t.Run(name+" as content", func(t *testing.T) {
			x := newTestSpool(t)
			x.put("new/m.envelope", envelopeText(7))
			if err := make(filepath.Join(x.dir, "new/m.eml")); err != nil {
				t.Fatal(err)
			}
			if got := x.malformed("m"); !strings.Contains(got, "not a regular file") {
				t.Errorf("reason %q", got)
			}
			x.has("bad/m.eml", "bad/m.envelope")
		})
		t.Run(name+" as envelope", func(t *testing.T) {
			x := newTestSpool(t)
			x.put("new/m.eml", "x\n")
			if err := make(filepath.Join(x.dir, "new/m.envelope")); err != nil {
				t.Fatal(err)
			}
			if got := x.malformed("m"); !strings.Contains(got, "not a regular file") {
				t.Errorf("reason %q", got)
			}
			x.has("bad/m.eml", "bad/m.envelope")
		})
		t.Run(name+" as drop", func(t *testing.T) {
			x := newTestSpool(t)
			if err := make(filepath.Join(x.dir, "new/m.mail")); err != nil {
				t.Fatal(err)
			}
			_, err := x.ClaimDrop("m.mail")
			var bad *MalformedError
			if !errors.As(err, &bad) {
				t.Errorf("claim: %v", err)
			}
			x.has("bad/m.envelope", "bad/m.mail")
		})
	}
}

func TestEnvelopeAlone(t *testing.T) {
	for _, box := range []string{"new", "cur"} {
		t.Run(box, func(t *testing.T) {
			x := newTestSpool(t)
			x.put(box+"/m.envelope", envelopeText(2))
			for _, wait := range []time.Duration{0, Orphaned - time.Minute, 3 * time.Minute, LookAgain / 2} {
				x.pass(wait)
				x.cannotClaim("m", ErrAlone)
			}
			x.has(box + "/m.envelope")
			x.pass(LookAgain)
			if got := x.malformed("m"); !strings.Contains(got, "without content") {
				t.Errorf("reason %q", got)
			}
			x.has("bad/m.envelope")
		})
	}
}

// TestContentArrives: the envelope was alone only for a moment.
func TestContentArrives(t *testing.T) {
	x := newTestSpool(t)
	x.put("new/m.envelope", envelopeText(2))
	x.cannotClaim("m", ErrAlone)
	x.put("new/m.eml", "x\n")
	c := x.claim("m")
	if err := c.Load(); err != nil {
		t.Error(err)
	}
	if err := c.Release(); err != nil {
		t.Error(err)
	}
}

// TestLinks: a second name that is none of the message's does not matter, and no
// other name is looked at: a stranger who makes many costs nobody anything.
func TestLinks(t *testing.T) {
	x := newTestSpool(t)
	id := x.feed("x\n")
	for _, other := range []string{filepath.Join(x.dir, "tmp/t.abc"), filepath.Join(t.TempDir(), "outside")} {
		if err := os.Link(filepath.Join(x.dir, "new", id+".eml"), other); err != nil {
			t.Fatal(err)
		}
	}
	x.sys.open = func(dir int, name string, flags int, mode uint32) (int, error) {
		if name == "." {
			t.Error("a box was scanned")
		}
		return systemCalls().open(dir, name, flags, mode)
	}
	c := x.claim(id)
	if err := errors.Join(c.Load(), c.Finish(), x.Flush()); err != nil {
		t.Error(err)
	}
	x.sys = systemCalls()
	x.has("tmp/t.abc")
}

// TestStates claims from each state that a crash can leave.
func TestStates(t *testing.T) {
	ok := func(t *testing.T, x *testSpool) {
		c := x.claim("m")
		if err := c.Load(); err != nil {
			t.Fatal(err)
		}
		x.has("cur/m.eml", "cur/m.envelope")
		if err := c.Release(); err != nil {
			t.Fatal(err)
		}
	}
	fails := func(want error, left ...string) func(*testing.T, *testSpool) {
		return func(t *testing.T, x *testSpool) {
			x.cannotClaim("m", want)
			x.has(left...)
		}
	}
	tests := []struct {
		name  string
		files []string
		check func(*testing.T, *testSpool)
	}{
		{"committed", []string{"new/m.eml", "new/m.envelope"}, ok},
		{"deferred", []string{"cur/m.eml", "cur/m.envelope"}, ok},
		{"claim half done", []string{"new/m.eml", "cur/m.envelope"}, ok},
		{"content moved first by another tool", []string{"cur/m.eml", "new/m.envelope"}, ok},
		{"envelope lost", []string{"cur/m.eml"}, fails(ErrGone, "cur/m.eml")},
		{"finish half done", []string{"cur/m.eml", "cur/m.done"}, fails(ErrGone)},
		{"finish half done, content removed", []string{"cur/m.done"}, fails(ErrGone)},
		{"finish half done, id used again", []string{"cur/m.eml", "cur/m.done", "new/m.eml", "new/m.envelope"}, func(t *testing.T, x *testSpool) {
			x.cannotClaim("m", ErrBlocked)
			x.has("new/m.eml", "new/m.envelope")
			ok(t, x)
		}},
		{"content removed, id used again", []string{"cur/m.done", "new/m.eml", "new/m.envelope"}, func(t *testing.T, x *testSpool) {
			x.cannotClaim("m", ErrBlocked)
			x.has("new/m.eml", "new/m.envelope")
			ok(t, x)
		}},
		{"finished, and its envelope restored", []string{"cur/m.eml", "cur/m.done", "cur/m.envelope"}, ok},
		{"id in cur", []string{"cur/m.eml", "cur/m.envelope", "new/m.eml", "new/m.envelope"}, func(t *testing.T, x *testSpool) {
			c := x.claim("m") // the older one
			x.has("cur/m.eml", "cur/m.envelope", "new/m.eml", "new/m.envelope")
			x.cannotClaim("m", ErrBlocked)
			if err := c.Finish(); err != nil {
				t.Fatal(err)
			}
			if err := x.Flush(); err != nil {
				t.Fatal(err)
			}
			ok(t, x)
		}},
		{"content alone in new", []string{"new/m.eml"}, fails(ErrGone, "new/m.eml")},
		{"nothing", nil, fails(ErrGone)},
		{"a drop being built", []string{"cur/m.eml", "cur/m.envelope", "cur/m.mail"}, fails(ErrBusy, "cur/m.eml", "cur/m.envelope", "cur/m.mail")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			x := newTestSpool(t)
			for _, f := range tt.files {
				if strings.HasSuffix(f, ".envelope") || strings.HasSuffix(f, ".done") {
					x.put(f, envelopeText(2))
				} else {
					x.put(f, "x\n")
				}
			}
			tt.check(t, x)
		})
	}
}

// TestHostileLock: a feeder that holds a lock on a file of another message's
// id must not keep that message in cur.
func TestHostileLock(t *testing.T) {
	x := newTestSpool(t)
	x.put("cur/m.eml", "x\n")
	x.put("cur/m.envelope", envelopeText(2))
	x.put("new/m.eml", "theirs")
	f, err := os.Open(filepath.Join(x.dir, "new/m.eml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := lock(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	c := x.claim("m")
	if err := c.Load(); err != nil {
		t.Error(err)
	}
	if err := c.Release(); err != nil {
		t.Error(err)
	}
}

// TestTrouble: what is the system's fault is never a reason to set aside.
func TestTrouble(t *testing.T) {
	for _, trouble := range []error{unix.EMFILE, unix.ENFILE, unix.EIO, unix.ENOMEM} {
		x := newTestSpool(t)
		id := x.feed("x\n")
		x.sys.open = func(int, string, int, uint32) (int, error) { return -1, trouble }
		x.cannotClaim(id, trouble)
		x.sys = systemCalls()
		x.has("new/"+id+".eml", "new/"+id+".envelope")
		c := x.claim(id)
		x.sys.open = func(int, string, int, uint32) (int, error) { return -1, trouble }
		var bad *MalformedError
		if err := c.Load(); err == nil || errors.As(err, &bad) {
			t.Errorf("%v: load: %v", trouble, err)
		}
		x.sys = systemCalls()
		if err := c.Release(); err != nil {
			t.Error(err)
		}
	}
}

// TestStaleLock: NFS answers a lock with ESTALE where another machine has removed the file. That is trouble only while the
// name is there.
func TestStaleLock(t *testing.T) {
	x := newTestSpool(t)
	id := x.feed("x\n")
	x.sys.lock = func(int) error { return unix.ESTALE }
	x.cannotClaim(id, unix.ESTALE)
	x.sys.lock = func(int) error {
		for _, kind := range []Kind{KindContent, KindEnvelope} {
			if err := os.Remove(filepath.Join(x.Path(New), id+kind.Suffix())); err != nil {
				t.Error(err)
			}
		}
		return unix.ESTALE
	}
	x.cannotClaim(id, ErrBusy)
}

// TestManyDrainers lets goroutines with a spool each fight over messages: each
// must be delivered exactly once.
func TestManyDrainers(t *testing.T) {
	x := newTestSpool(t)
	const messages, drainers = 200, 4
	var ids []string
	for range messages {
		ids = append(ids, x.feed("x\n"))
	}
	var mu sync.Mutex
	delivered := map[string]int{}
	var wg sync.WaitGroup
	for range drainers {
		s, err := OpenDrainer(x.dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			defer func() {
				if err := s.Close(); err != nil {
					t.Error(err)
				}
			}()
			for _, id := range ids {
				c, err := s.Claim(id)
				if errors.Is(err, ErrBusy) || errors.Is(err, ErrGone) || errors.Is(err, ErrBlocked) {
					continue
				}
				if err != nil {
					t.Error(err)
					continue
				}
				if err := c.Load(); err != nil {
					t.Error(err)
				}
				mu.Lock()
				delivered[id]++
				mu.Unlock()
				if err := c.Finish(); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	for _, id := range ids {
		if delivered[id] != 1 {
			t.Errorf("%s delivered %d times", id, delivered[id])
		}
	}
	x.has()
}

func TestMovedSpool(t *testing.T) {
	x := newTestSpool(t)
	if x.Moved() {
		t.Error("moved at once")
	}
	if err := os.Rename(filepath.Join(x.dir, "new"), filepath.Join(x.dir, "old")); err != nil {
		t.Fatal(err)
	}
	if !x.Moved() {
		t.Error("new is gone, and nothing said so")
	}
	if err := os.Mkdir(filepath.Join(x.dir, "new"), 0o700); err != nil {
		t.Fatal(err)
	}
	if !x.Moved() {
		t.Error("new is another directory, and nothing said so")
	}
}

func TestOpenRefuses(t *testing.T) {
	dir := t.TempDir()
	if err := os.Symlink(t.TempDir(), filepath.Join(dir, "new")); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenFeeder(dir, Options{}); err == nil {
		t.Error("followed a link to new")
	}
	if _, err := OpenFeeder(filepath.Join(dir, "missing"), Options{}); err == nil {
		t.Error("opened a spool that is not there")
	}
}
