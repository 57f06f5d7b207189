package spoolfmt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
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
