package spoolfmt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const testMail = "From: a@example.com\nTo: b@example.org\nBcc: hidden@example.net\n\nhello"

func TestDrop(t *testing.T) {
	x := newTestSpool(t)
	x.put("new/daily.mail", testMail)
	c, err := x.ClaimMail("daily.mail")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	id := c.ID()
	x.has("cur/"+id+".eml", "cur/"+id+".envelope")
	if got, want := x.read("cur/"+id+".eml"), "From: a@example.com\nTo: b@example.org\n\nhello\n"; got != want {
		t.Errorf("content %q, want %q", got, want)
	}
	var to []string
	for _, r := range c.Envelope().Recipients() {
		to = append(to, r.Address)
	}
	if got := strings.Join(to, " "); got != "b@example.org hidden@example.net" {
		t.Errorf("recipients %s", got)
	}
	x.cannotClaim(id, ErrBusy)
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := x.Flush(); err != nil {
		t.Fatal(err)
	}
	x.has()
}

func TestBadDrops(t *testing.T) {
	for name, text := range map[string]string{
		"no recipients": "From: a@example.com\n\nx\n",
		"no sender":     "To: b@example.org\n\nx\n",
		"CR in body":    "From: a@example.com\nTo: b@example.org\n\nx\r\n",
		"NUL in body":   "From: a@example.com\nTo: b@example.org\n\nx\x00\n",
		"not a header":  "hello\n",
	} {
		t.Run(name, func(t *testing.T) {
			x := newTestSpool(t)
			x.put("new/m.mail", text)
			_, err := x.ClaimMail("m.mail")
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

// TestDropCrash stops the building of a drop at each of its changing calls,
// as a crash would, and recovers.
func TestDropCrash(t *testing.T) {
	for at := 1; ; at++ {
		stopped := false
		t.Run(fmt.Sprint(at), func(t *testing.T) {
			x := newTestSpool(t)
			x.put("new/m.mail", testMail)
			stopped = stopAt(x, at)
			recoverAll(t, x)
		})
		if !stopped {
			if at < 8 {
				t.Fatalf("only %d calls seen", at-1)
			}
			return
		}
	}
}

// stopAt runs ClaimMail until its n-th changing call, and tells whether there
// was one. From there on every call fails, as it does for the dead.
func stopAt(x *testSpool, n int) bool {
	real, dead := systemCalls(), false
	step := func() error {
		if n--; n <= 0 {
			dead = true
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
	c, err := x.ClaimMail("m.mail")
	if err == nil {
		_ = c.Release() // what a death does too
	}
	x.sys = systemCalls()
	return dead
}

func recoverAll(t *testing.T, x *testSpool) {
	t.Helper()
	delivered := 0
	done := func(c *Claim, err error) {
		if err != nil {
			t.Errorf("claim: %v", err)
			return
		}
		if err := c.Load(); err != nil {
			t.Error(err)
		}
		delivered++
		if err := c.Finish(); err != nil {
			t.Error(err)
		}
	}
	for _, name := range x.names() {
		box, file, _ := strings.Cut(name, "/")
		id, kind := SplitName(file)
		switch {
		case box == "new" && kind == KindMail:
			done(x.ClaimMail(file))
		case box == "cur" && kind == KindMail:
			done(x.RecoverMail(file))
		case box == "cur" && kind == KindEnvelope:
			if _, err := os.Stat(filepath.Join(x.dir, "cur", id+".mail")); err == nil {
				break
			}
			if delivered == 0 {
				done(x.Claim(id))
			}
		}
	}
	if delivered != 1 {
		t.Errorf("delivered %d times", delivered)
	}
	if err := x.Flush(); err != nil {
		t.Error(err)
	}
	for _, name := range x.names() {
		if !strings.HasPrefix(name, "tmp/") {
			t.Errorf("left: %s", name)
		}
	}
}
