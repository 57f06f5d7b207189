package receiver

import (
	"os"
	"strings"
	"testing"
)

// A clogged reel cannot write once, and then it can again.
type clogged struct {
	reel
	writes int
}

func (c *clogged) Write(p []byte) (int, error) {
	c.writes++
	if c.writes == 2 {
		n, _ := c.out.Write(p[:len(p)/2])
		return n, os.ErrDeadlineExceeded
	}
	return c.out.Write(p)
}

// TestFailedFlush: when a reply could not be sent whole, no other is sent in its
// place, and the session ends.
func TestFailedFlush(t *testing.T) {
	spool := new(memorySpool)
	conn := &clogged{reel: reel{pieces: []string{"EHLO c.test\r\n", strings.Repeat("NOOP\r\n", 10), strings.Repeat("HELP\r\n", 50), envelopeOf + "DATA\r\n", "text\r\n.\r\n", "QUIT\r\n"}}}
	Serve(t.Context(), everything(spool), Client{}, conn)
	if conn.writes != 2 || len(spool.committed) != 0 {
		t.Errorf("%d writes, %d messages", conn.writes, len(spool.committed))
	}
	// The same where the replies are so many that they are sent before they are due.
	conn = &clogged{reel: reel{pieces: []string{"EHLO c.test\r\n" + strings.Repeat("RCPT TO:<b@local.test>\r\n", 90) + strings.Repeat("NOOP\r\n", 90), "QUIT\r\n"}}}
	s := newSession(everything(spool), Client{}, conn)
	for range 1000 {
		s.say(replyHelp)
	}
	_ = s.flush()
	if conn.writes != 2 {
		t.Errorf("%d writes", conn.writes)
	}
}
