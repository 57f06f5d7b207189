package spoolfmt

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

const (
	testMail        = "From: a@example.com\nTo: b@example.org\nBcc: hidden@example.net\nDate: x\nMessage-ID: <y>\n\nhello"
	testMailContent = "From: a@example.com\nTo: b@example.org\nDate: x\nMessage-ID: <y>\n\nhello\n"
)

// TestDrop: a drop that was claimed is a message like any other.
func TestDrop(t *testing.T) {
	x := newTestSpool(t)
	x.put("new/daily.mail", testMail)
	c, err := x.ClaimDrop("daily.mail")
	if err != nil {
		t.Fatal(err)
	}
	x.has("cur/"+c.ID()+".eml", "cur/"+c.ID()+".envelope")
	x.cannotClaim(c.ID(), ErrBusy)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	if got, err := whole(c.Content()); err != nil || got != testMailContent {
		t.Errorf("content %q, want %q", got, testMailContent)
	}
	if text, err := os.ReadFile(c.EnvelopePath()); err != nil {
		t.Error(err)
	} else if e, err := envelope.Parse(text); err != nil || e.Size() != int64(len(testMailContent)) || e.ReceivedAt().IsZero() {
		t.Errorf("envelope %q: %v", text, err)
	}
	if got := addresses(c.Envelope()); got != "b@example.org hidden@example.net" {
		t.Errorf("recipients %s", got)
	}
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := x.Flush(); err != nil {
		t.Fatal(err)
	}
	if got := x.namesIn("new", "cur", "bad"); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// TestDropCompleted: a drop gets the fields that it lacks, under the id of its
// message and the drainer's name.
func TestDropCompleted(t *testing.T) {
	for host, want := range map[string]string{"mail.example.com": "mail.example.com", "no host": "localhost"} {
		x := newTestSpool(t)
		x.host = host
		x.clock = time.Date(2026, 11, 23, 20, 4, 13, 0, time.UTC)
		x.put("new/m.mail", "From: a@example.com\r\nTo: b@example.org\r\n\r\nhello\r\n")
		c, err := x.ClaimDrop("m.mail")
		if err != nil {
			t.Fatal(err)
		}
		want := "From: a@example.com\nTo: b@example.org\nDate: Mon, 23 Nov 2026 20:04:13 +0000\nMessage-ID: <" + c.ID() + "@" + want + ">\n\nhello\n"
		if got := x.read("cur/" + c.ID() + ".eml"); got != want {
			t.Errorf("content %q, want %q", got, want)
		}
		if err := errors.Join(c.Load(), c.Release()); err != nil {
			t.Error(err)
		}
	}
}

func whole(f *os.File) (string, error) {
	text, err := io.ReadAll(io.NewSectionReader(f, 0, 1<<20))
	return string(text), err
}

func addresses(e *envelope.Envelope) string {
	var to []string
	for _, r := range e.Recipients() {
		to = append(to, r.Address)
	}
	return strings.Join(to, " ")
}

// TestDropMade: the files are durable before they are in cur, and their names
// before the drop goes.
func TestDropMade(t *testing.T) {
	x := newTestSpool(t)
	x.put("new/m.mail", testMail)
	real, steps := systemCalls(), []string{}
	x.sys.fsync = func(fd int) error {
		what := "file"
		if fd == x.dirs[Cur] {
			what = "cur"
		} else if fd == x.dirs[New] {
			what = "new"
		}
		steps = append(steps, "sync "+what)
		return real.fsync(fd)
	}
	x.sys.move = func(a int, from string, b int, to string) error {
		steps = append(steps, "move "+filepath.Ext(to))
		return real.move(a, from, b, to)
	}
	x.sys.unlink = func(dir int, name string) error {
		steps = append(steps, "remove "+filepath.Ext(name))
		return real.unlink(dir, name)
	}
	c, err := x.ClaimDrop("m.mail")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(steps, ", ")
	const want = "move .mail, sync file, sync file, sync new, move .eml, move .envelope, sync cur, remove .mail"
	if got != want {
		t.Errorf("steps:\n%s, want\n%s", got, want)
	}
}

// recordOne writes down that the first recipient has the message.
func (c *Claim) recordOne(now time.Time) error {
	if err := c.Load(); err != nil {
		return err
	}
	to := c.Envelope().Recipients()[0].Address
	if c.Envelope().Recipients()[0].Outcome == nil {
		if err := c.Envelope().SetOutcome(to, envelope.Outcome{Status: envelope.StatusDelivered, Time: now}); err != nil {
			return err
		}
	}
	return c.Record(now)
}

// TestDropKeepsItsID: a message in new that has the id of a drop in cur waits until the
// drop is delivered. In cur its files would look as if they were the drop's message, and
// the drop would be removed.
func TestDropKeepsItsID(t *testing.T) {
	x := newTestSpool(t)
	x.put("cur/m.mail", testMail)
	x.put("new/m.eml", "x\n")
	x.put("new/m.envelope", envelopeText(2))
	x.cannotClaim("m", ErrBlocked)
	x.has("new/m.eml", "new/m.envelope", "cur/m.mail")
	for _, want := range []string{testMailContent, "x\n"} {
		c, err := x.RecoverDrop("m.mail")
		if errors.Is(err, ErrGone) {
			c, err = x.Claim("m")
		}
		if err == nil {
			err = c.Load()
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := whole(c.Content()); err != nil || got != want {
			t.Errorf("content %q, want %q", got, want)
		}
		if err := errors.Join(c.Finish(), x.flushAll()); err != nil {
			t.Fatal(err)
		}
	}
	if got := x.namesIn("new", "cur", "bad"); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// TestDropMadeAgain makes each step of making a message fail once. Then the drop
// is there still, and the next attempt makes the message.
func TestDropMadeAgain(t *testing.T) {
	for at := 1; ; at++ {
		failed := false
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			x := newTestSpool(t)
			x.put("new/m.mail", testMail)
			dead := failAt(x, at, false)
			c, err := x.ClaimDrop("m.mail")
			x.sys = systemCalls()
			if failed = *dead; failed == (err == nil) {
				t.Fatalf("a step failed: %v; told: %v", failed, err)
			}
			if failed {
				c = x.takeDrop()
			}
			x.wantMade(c)
		})
		if !failed {
			if at < 8 {
				t.Fatalf("only %d calls seen", at-1)
			}
			return
		}
	}
}

// takeDrop claims the only drop, wherever it is.
func (x *testSpool) takeDrop() *Claim {
	x.t.Helper()
	for _, name := range dropNames(x.Spool) {
		if strings.HasSuffix(name, ".mail") {
			c, err := takeNamed(x.Spool, name)
			if err != nil {
				x.t.Fatalf("%s: %v", name, err)
			}
			return c
		}
	}
	x.t.Fatalf("no drop in %q", x.names())
	return nil
}

// wantMade wants testMail's message in cur, and nothing else.
func (x *testSpool) wantMade(c *Claim) {
	x.t.Helper()
	x.has("cur/"+c.ID()+".eml", "cur/"+c.ID()+".envelope")
	if err := c.Load(); err != nil {
		x.t.Error(err)
	} else if got, err := whole(c.Content()); err != nil || got != testMailContent {
		x.t.Errorf("content %q: %v", got, err)
	}
	if err := c.Release(); err != nil {
		x.t.Error(err)
	}
}

// TestDropRemoved: what an operator removes while its message is made does not
// come back, and neither does what they put in its place.
func TestDropRemoved(t *testing.T) {
	for _, other := range []bool{false, true} {
		x := newTestSpool(t)
		x.put("new/m.mail", testMail)
		x.sys.fsync = func(fd int) error {
			if fd == x.dirs[New] {
				mail := x.namesIn("cur")[0]
				if err := os.Remove(filepath.Join(x.dir, mail)); err != nil {
					t.Error(err)
				}
				if other {
					x.put(mail, testMail)
				}
			}
			return nil
		}
		if _, err := x.ClaimDrop("m.mail"); !errors.Is(err, ErrBusy) {
			t.Errorf("another in its place: %v: %v", other, err)
		}
		if n := len(x.names()); n > 1 || other != (n == 1) {
			t.Errorf("another in its place: %v: left %q", other, x.names())
		}
	}
}

// TestLinkedDrops: drops that keep a second name are taken, but not all at once: to
// look for that name costs a look at all of a box.
func TestLinkedDrops(t *testing.T) {
	x := newTestSpool(t)
	looks := 0
	for _, name := range []string{"a", "b", "c"} {
		x.put("tmp/"+name, testMail)
		x.link("tmp/"+name, "new/"+name+".mail")
	}
	for range 3 {
		for _, name := range x.namesIn("new") {
			c, err := x.ClaimDrop(strings.TrimPrefix(name, "new/"))
			if errors.Is(err, ErrBusy) {
				continue
			}
			if err == nil {
				looks++
				err = c.Release()
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if left := len(x.namesIn("new")); left != 3-looks {
			t.Fatalf("%d looks, %d left", looks, left)
		}
		x.pass(time.Second)
	}
	if looks != 3 {
		t.Errorf("%d were taken", looks)
	}
}

// TestPace: one look at a time, and a pause after each.
func TestPace(t *testing.T) {
	var p pace
	at := func(seconds float64) time.Time {
		return time.Unix(1e9, 0).Add(time.Duration(seconds * float64(time.Second)))
	}
	if !p.begin(at(0)) || p.begin(at(5)) {
		t.Error("want one look at a time")
	}
	p.end(at(6))
	if p.begin(at(6.9)) || !p.begin(at(7)) {
		t.Error("want a second between the end of a look and the next")
	}
}

// TestDropGrows: a feeder that goes on writing adds nothing to the message. The
// drop's size counts at the time when it is locked.
func TestDropGrows(t *testing.T) {
	x := newTestSpool(t)
	x.put("new/m.mail", testMail)
	real, more := systemCalls(), strings.Repeat("more\n", 1<<20)
	x.sys.open = func(dir int, name string, flags int, mode uint32) (int, error) {
		if flags&unix.O_CREAT != 0 {
			f, err := os.OpenFile(filepath.Join(x.dir, x.namesIn("cur")[0]), os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				t.Fatal(err)
			}
			_, err = f.WriteString(more)
			if err := errors.Join(err, f.Close()); err != nil {
				t.Fatal(err)
			}
		}
		return real.open(dir, name, flags, mode)
	}
	c, err := x.ClaimDrop("m.mail")
	x.sys = real
	if err != nil {
		t.Fatal(err)
	}
	x.wantMade(c)
}

func TestBadDrops(t *testing.T) {
	for name, text := range map[string]string{
		"no recipients": "From: a@example.com\n\nx\n",
		"no sender":     "To: b@example.org\n\nx\n",
		"CR in body":    "From: a@example.com\nTo: b@example.org\n\nx\ry\n",
		"NUL in body":   "From: a@example.com\nTo: b@example.org\n\nx\x00\n",
		"not a header":  "hello\n",
	} {
		t.Run(name, func(t *testing.T) {
			x := newTestSpool(t)
			x.put("new/m.mail", text)
			_, err := x.ClaimDrop("m.mail")
			var bad *MalformedError
			if !errors.As(err, &bad) {
				t.Fatalf("claim: %v", err)
			}
			names := x.names()
			if len(names) != 2 || !strings.HasSuffix(names[0], ".envelope") || !strings.HasSuffix(names[1], ".mail") {
				t.Fatalf("spool holds %q", names)
			}
			if got := x.read(names[1]); got != text {
				t.Errorf("the drop is now %q", got)
			}
			if got := x.read(names[0]); !strings.HasPrefix(got, "Set-Aside: ") {
				t.Errorf("reason %q", got)
			}
		})
	}
}

// TestDropCrash stops what is done with a drop at each of its changing calls, as
// a crash would, and recovers.
func TestDropCrash(t *testing.T) {
	for what, work := range map[string]func(*testSpool, *Claim) error{
		"finished": func(_ *testSpool, c *Claim) error { return c.Finish() },
		"recorded": func(x *testSpool, c *Claim) error { return c.recordOne(x.clock) },
		"aside":    func(_ *testSpool, c *Claim) error { return c.SetAside("a test") },
	} {
		for at := 1; ; at++ {
			stopped := false
			t.Run(fmt.Sprint(what, at), func(t *testing.T) {
				x := newTestSpool(t)
				x.put("new/m.mail", testMail)
				dead := failAt(x, at, true)
				c, err := x.ClaimDrop("m.mail")
				if err == nil {
					err = work(x, c)
					if c.locked != nil { // a death closes it
						_ = c.locked.Close()
						x.finished.done = nil
					}
				}
				x.sys = systemCalls()
				stopped = *dead
				recoverAll(t, x, what, err == nil)
			})
			if !stopped {
				if at < 6 {
					t.Fatalf("only %d calls seen", at-1)
				}
				break
			}
		}
	}
}

// failAt makes the n-th changing call fail and, if for good, all that follow, as
// they do for the dead. It tells whether there was one.
func failAt(x *testSpool, n int, forGood bool) *bool {
	real, failed := systemCalls(), false
	step := func() error {
		n--
		if n == 0 || n < 0 && forGood {
			failed = true
			return errInjected
		}
		return nil
	}
	x.sys.move = func(a int, from string, b int, to string) error {
		if err := step(); err != nil {
			return err
		}
		return real.move(a, from, b, to)
	}
	x.sys.replace = func(a int, from string, b int, to string) error {
		if err := step(); err != nil {
			return err
		}
		return real.replace(a, from, b, to)
	}
	x.sys.link = func(a int, from string, b int, to string) error {
		if err := step(); err != nil {
			return err
		}
		return real.link(a, from, b, to)
	}
	x.sys.unlink = func(dir int, name string) error {
		if err := step(); err != nil {
			return err
		}
		return real.unlink(dir, name)
	}
	x.sys.fsync = func(fd int) error {
		if err := step(); err != nil {
			return err
		}
		return real.fsync(fd)
	}
	x.sys.write = func(fd int, p []byte) (int, error) {
		if err := step(); err != nil {
			return 0, err
		}
		return real.write(fd, p)
	}
	return &failed
}

// recoverAll is another drainer after a crash. The message comes to it once, or is
// where the work that was stopped would have put it.
func recoverAll(t *testing.T, x *testSpool, work string, done bool) {
	t.Helper()
	delivered := 0
	take := func(c *Claim, err error) {
		if errors.Is(err, ErrLinked) || errors.Is(err, ErrGone) {
			return // for a later look; or DONE
		}
		if err != nil {
			t.Errorf("claim: %v", err)
			return
		}
		if err := c.Load(); err != nil {
			t.Error(err)
		}
		if got, err := whole(c.Content()); err != nil || got != testMailContent {
			t.Errorf("content %q: %v", got, err)
		}
		if left := len(c.Envelope().Pending()); left != 2 && work != "recorded" {
			t.Errorf("%d recipients left", left)
		}
		delivered++
		if err := c.Finish(); err != nil {
			t.Error(err)
		}
	}
	for range 3 {
		for _, name := range x.namesIn("new", "cur") {
			box, file, _ := strings.Cut(name, "/")
			id, kind := SplitName(file)
			switch {
			case box == "new" && kind == KindDrop:
				take(x.ClaimDrop(file))
			case box == "cur" && kind == KindDrop:
				take(x.RecoverDrop(file))
			case box == "cur" && kind != KindOther:
				if _, err := os.Stat(filepath.Join(x.dir, "cur", id+".mail")); err == nil {
					break
				}
				if _, err := os.Stat(filepath.Join(x.dir, name)); err == nil {
					take(x.Claim(id))
				}
			}
		}
		if err := x.Flush(); err != nil {
			t.Error(err)
		}
		x.pass(LookAgain)
	}
	aside := 0
	for _, name := range x.namesIn("bad") {
		if strings.HasSuffix(name, ".envelope") {
			aside++
		}
	}
	if n := delivered + aside; n != 1 && !(work == "finished" && n == 0) || done && work == "finished" && delivered != 0 {
		t.Errorf("delivered %d times, %d set aside", delivered, aside)
	}
	if left := x.namesIn("new", "cur"); len(left) != 0 {
		t.Errorf("left: %q", left)
	}
}
