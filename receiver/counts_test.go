package receiver

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestRefusedPerMessage: a list with many addresses that are gone is sent in
// several messages, each with its own count of refused recipients.
func TestRefusedPerMessage(t *testing.T) {
	var b strings.Builder
	b.WriteString("EHLO c.test\r\n")
	for range 3 {
		b.WriteString("MAIL FROM:<a@c.test>\r\n")
		for i := range maxRefused {
			fmt.Fprintf(&b, "RCPT TO:<b%d@elsewhere.test>\r\n", i)
		}
		b.WriteString("RCPT TO:<b@local.test>\r\nDATA\r\ntext\r\n.\r\n")
	}
	synctest.Test(t, func(t *testing.T) { // refused recipients wait
		replies, committed := runReel(t, b.String()+"QUIT\r\n")
		if len(committed) != 3 {
			t.Errorf("%d messages; the last reply is %q", len(committed), replies[len(replies)-1])
		}
	})
}

// TestGuesses: after ten refused recipients of a session each further one waits,
// also in the next message; recipients that are accepted do not.
func TestGuesses(t *testing.T) {
	inBubble(t, nil, func(c *timed) {
		begin := time.Now()
		took := func(what string, want time.Duration) {
			t.Helper()
			if got := time.Since(begin); got != want {
				t.Errorf("%s took %v, want %v", what, got, want)
			}
			begin = time.Now()
		}
		c.say("HELO c.test\r\nMAIL FROM:<a@c.test>\r\n")
		c.hear("250 ")
		c.hear("250 ")
		for range freeGuesses {
			c.say("RCPT TO:<b@elsewhere.test>\r\n")
			c.hear("550 ")
		}
		took("the first ones", 0)
		for range 3 {
			c.say("RCPT TO:<b@elsewhere.test>\r\n")
			c.hear("550 ")
		}
		took("three more", 3*guessPause)
		c.say("RCPT TO:<b@local.test>\r\nRSET\r\nMAIL FROM:<a@c.test>\r\n")
		for range 3 {
			c.hear("250 ")
		}
		took("a recipient that is accepted", 0)
		c.say("RCPT TO:<b@elsewhere.test>\r\n")
		c.hear("550 ")
		took("one of the next message", guessPause)
	})
}

// TestUnusedRecipients: recipients that never get a message count.
func TestUnusedRecipients(t *testing.T) {
	s := everything(new(memorySpool))
	s.MaxRecip = 0
	many := strings.Repeat("RCPT TO:<b@local.test>\r\n", maxUnused)
	conn := &reel{pieces: []string{"EHLO c.test\r\n", "MAIL FROM:<a@c.test>\r\n", many, "DATA\r\ntext\r\n.\r\n", "MAIL FROM:<a@c.test>\r\n", many, "RSET\r\n",
		"MAIL FROM:<a@c.test>\r\n", "RCPT TO:<b@local.test>\r\n", "RSET\r\n", "MAIL FROM:<a@c.test>\r\n", "RCPT TO:<b@local.test>\r\n", "NOOP\r\n"}}
	Serve(t.Context(), s, Client{}, conn)
	replies := conn.replies()
	if last := replies[len(replies)-1]; !strings.HasPrefix(last, "421 4.7.0 ") || !strings.Contains(last, "recipients without a message") {
		t.Errorf("the last reply is %q", last)
	}
	if n := strings.Count(conn.out.String(), "accepted"); n != 1 {
		t.Errorf("%d messages", n)
	}
}

// TestBrokenChunk: a chunk where none may come is no message, also when it breaks off.
func TestBrokenChunk(t *testing.T) {
	for session, want := range map[string]string{"BDAT 10\r\nx": "refused=0", envelopeOf + "BDAT 10\r\nx": "refused=1"} {
		log := new(bytes.Buffer)
		c := everything(new(memorySpool))
		c.Log = slog.New(slog.NewTextHandler(log, nil))
		Serve(t.Context(), c, Client{}, &reel{pieces: []string{session}})
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q: %s, want %s", session, log, want)
		}
	}
}

// TestGreetDelay: whoever waits is greeted, and whoever does not is not, with
// certainty.
func TestGreetDelay(t *testing.T) {
	delay := func(c *Config) { c.GreetDelay = 5 * time.Second }
	inBubbleBefore(t, delay, func(c *timed) {
		began := time.Now()
		c.hear("220 ")
		if took := time.Since(began); took != 5*time.Second {
			t.Errorf("it took %v", took)
		}
		c.say("HELO c.test\r\n")
		c.hear("250 ")
	})
	inBubbleBefore(t, delay, func(c *timed) {
		time.Sleep(4999 * time.Millisecond)
		c.say("HELO c.test\r\n")
		c.hear("554 ")
	})
}
