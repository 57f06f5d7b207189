package spoolfmt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

func TestDrain(t *testing.T) {
	x := newTestSpool(t)
	x.feed("fine\n")
	later, never := x.feed("later\n"), x.feed("never\n")
	x.put("new/d.mail", "From: a@example.com\nTo: b@example.org\n\ndrop\n")
	x.put("new/bad.eml", "x\n")
	x.put("new/bad.envelope", "nonsense\n")
	busy := x.claim(x.feed("busy\n"))
	got := map[string]int{}
	drain := func() {
		t.Helper()
		err := x.Drain(context.Background(), func(m *Message) error {
			text, err := io.ReadAll(m.Content)
			if err != nil || int64(len(text)) != m.Size || m.Sender.Address != "a@example.com" || len(m.Recipients) == 0 {
				t.Errorf("%v: %q, %v", m, text, err)
			}
			word := string(text[strings.LastIndexByte(strings.TrimSpace(string(text)), '\n')+1:])
			got[word]++
			switch {
			case word == "later\n" && got[word] < 3:
				return errors.New("not now")
			case word == "never\n":
				return fmt.Errorf("no such user: %w", ErrRefused)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	drain()
	left := strings.Join(x.namesIn("new", "cur", "bad"), " ")
	for _, want := range []string{"bad/" + never + ".eml", "bad/bad.eml", "cur/" + later + ".envelope", "cur/" + busy.ID() + ".envelope"} {
		if !strings.Contains(left, want) {
			t.Errorf("%s is not in %s", want, left)
		}
	}
	drain() // nothing is due
	if err := busy.Release(); err != nil {
		t.Fatal(err)
	}
	for _, wait := range []time.Duration{firstWait, firstWait, firstWait} { // the second wait is twice as long
		x.pass(wait + time.Second)
		drain()
	}
	if fmt.Sprint(got) != "map[busy\n:1 drop\n:1 fine\n:1 later\n:3 never\n:1]" {
		t.Errorf("delivered %v", got)
	}
	if names := x.namesIn("new", "cur"); len(names) > 0 {
		t.Errorf("left: %q", names)
	}
}

// TestDrainDurable: what was delivered is durable before the next delivery,
// which may be slow.
func TestDrainDurable(t *testing.T) {
	x := newTestSpool(t)
	for range 3 {
		x.feed("x\n")
	}
	n := 0
	err := x.Drain(context.Background(), func(*Message) error {
		n++
		if done := len(x.finished.done); done > 0 {
			t.Errorf("delivery %d begins, and %d before it may come back", n, done)
		}
		return nil
	})
	if err != nil || n != 3 {
		t.Errorf("%d deliveries, %v", n, err)
	}
	if names := x.namesIn("new", "cur", "bad"); len(names) > 0 {
		t.Errorf("left: %q", names)
	}
}

func TestDrainEnds(t *testing.T) {
	x := newTestSpool(t)
	x.feed("x\n")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := x.Drain(ctx, func(*Message) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

// TestDrainFailed: a message whose recipients all have an outcome, one of them a
// failure, is not finished: nobody told its sender.
func TestDrainFailed(t *testing.T) {
	for name, pending := range map[string]bool{"none pending": false, "one pending": true} {
		x := newTestSpool(t)
		at := envelope.FormatTime(x.clock)
		text := "Spool-Format: 1\nSender: <a@example.com>\nRecipient: <b@example.org>\nRecipient: <c@example.org>\nSize: 2\nFailed: <b@example.org> " + at + " no\n"
		if !pending {
			text += "Delivered: <c@example.org> " + at + "\n"
		}
		x.put("new/m.eml", "x\n")
		x.put("new/m.envelope", text+"\n")
		calls := 0
		if err := x.Drain(t.Context(), func(*Message) error { calls++; return nil }); err != nil {
			t.Error(err)
		}
		x.has("bad/m.eml", "bad/m.envelope")
		e, err := x.ReadEnvelope(Bad, "m", nil)
		if err != nil || len(e.Pending()) != 0 || e.Reason() == "" || (calls > 0) != pending {
			t.Errorf("%s: %v, %d calls, %v", name, e, calls, err)
		}
	}
}

// TestAsideTwice: a setting aside that is repeated replaces the reason of an envelope that
// cannot be parsed, and makes the message due at once until it is in bad.
func TestAsideTwice(t *testing.T) {
	x := newTestSpool(t)
	x.put("new/m.eml", "x\n")
	x.put("new/m.envelope", "nonsense\n")
	x.sys.link = func(int, string, int, string) error { return unix.EIO }
	c := x.claim("m")
	for range 3 {
		if err := c.SetAside("broken"); err == nil {
			t.Fatal("set aside without a link")
		}
		if st, err := x.Stat(Cur, "m.envelope"); err != nil || !st.ModTime.Equal(x.clock) {
			t.Errorf("due at %v, now is %v (%v)", st.ModTime, x.clock, err)
		}
	}
	x.sys.link = systemCalls().link
	if err := c.SetAside("broken"); err != nil {
		t.Fatal(err)
	}
	if got := x.read("bad/m.envelope"); strings.Count(got, "Set-Aside: ") != 1 || !strings.HasSuffix(got, "broken\nnonsense\n") {
		t.Errorf("%q", got)
	}
}
