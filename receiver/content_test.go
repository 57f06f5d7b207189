package receiver

import (
	"context"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"smap/spoolfmt/envelope"
)

// TestContentLimits: what is at a limit passes, one octet more does not.
func TestContentLimits(t *testing.T) {
	t.Parallel()
	field := "X: " + strings.Repeat("x", 996) + "\n" // 1000 octets
	received := func(n int) string { return strings.Repeat("Received: x\n", n) }
	tests := []struct {
		name, content string
		reply         string
	}{
		{"long line", "\n" + strings.Repeat("x", 100_000) + "\n", ""},
		{"long field", "X: " + strings.Repeat("x", 100_000) + "\n\n", ""},
		{"long header", strings.Repeat(field, 2000) + "\n", ""},
		{"received", received(maxReceived) + "\n" + received(1), ""},
		{"received more", received(maxReceived+1) + "\n", replyLoop.Text},
		{"received case", strings.ToUpper(received(maxReceived+1)) + "\n", replyLoop.Text},
		{"received folded", strings.Repeat("Received: x\n\tReceived: y\n Received: z\n", maxReceived), ""},
		{"received short", strings.Repeat("Received\nReceive: x\n", maxReceived+1), ""},
	}
	for _, x := range tests {
		wire := strings.ReplaceAll(x.content, "\n", "\r\n")
		for how, pieces := range map[string][]string{"whole": {wire}, "pieces": piecesOf(wire, 13)} {
			spool := new(memorySpool)
			c := everything(spool)
			c.MaxBytes = 0
			conn := &reel{pieces: append(append([]string{envelopeOf, "DATA\r\n"}, pieces...), ".\r\n", "NOOP\r\n")}
			Serve(t.Context(), c, Client{}, conn)
			replies := conn.replies()
			last := replies[len(replies)-2]
			switch {
			case x.reply == "" && (len(spool.committed) != 1 || spool.committed[0].content != x.content):
				t.Errorf("%s, %s: %d messages, %q", x.name, how, len(spool.committed), last)
			case x.reply != "" && (len(spool.committed) != 0 || !strings.Contains(last, x.reply)):
				t.Errorf("%s, %s: %d messages, %q, want %q", x.name, how, len(spool.committed), last, x.reply)
			}
		}
	}
}

// piecesOf cuts s into pieces of n octets.
func piecesOf(s string, n int) []string {
	var pieces []string
	for p := range slices.Chunk([]byte(s), n) {
		pieces = append(pieces, string(p))
	}
	return pieces
}

// TestSlowClients send an octet now and then, which must not keep them alive.
func TestSlowClients(t *testing.T) {
	tests := map[string]struct{ first, more, reply string }{
		"command": {"EHLO c.test\r\n", "x", "421 4.4.2 mx.local.test Timeout, closing connection\r\n"},
		"DATA":    {envelopeOf + "DATA\r\n", "x", "421 4.4.2 mx.local.test Too slow, closing connection\r\n"},
		"BDAT":    {envelopeOf + "BDAT 1000000\r\n", "x", "421 4.4.2 mx.local.test Too slow, closing connection\r\n"},
		"chunks":  {envelopeOf, "BDAT 1\r\nx", "421 4.4.2 mx.local.test Too slow, closing connection\r\n"},
	}
	for name, x := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.config.Timeout, s.config.MinRate = 3*time.Second, 1000
			conn, wait := s.connect(context.Background())
			stop := make(chan struct{})
			sent := make(chan struct{})
			go func() {
				defer close(sent)
				_, err := io.WriteString(conn, x.first)
				for err == nil {
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
						_, err = io.WriteString(conn, x.more)
					}
				}
			}()
			out, err := io.ReadAll(conn)
			close(stop)
			<-sent
			if err != nil || !strings.HasSuffix(string(out), x.reply) {
				t.Errorf("%q, %v", out, err)
			}
			if err := conn.Close(); err != nil {
				t.Error(err)
			}
			wait()
			if len(s.messages()) > 0 {
				t.Error("it was accepted")
			}
			s.nothingLeft()
		})
	}
}

// A flood is a client that sends n times the same, then the rest.
type flood struct {
	reel
	piece, rest string
	n           int
}

func (f *flood) Read(p []byte) (int, error) {
	for len(f.pieces) > 0 && f.pieces[0] == "" {
		f.pieces = f.pieces[1:]
	}
	if len(f.pieces) == 0 && f.n > 0 {
		f.n--
		f.pieces = []string{f.piece}
		if f.n == 0 {
			f.pieces = append(f.pieces, f.rest)
		}
	}
	return f.reel.Read(p)
}

// bottomless is a spool that counts.
type bottomless struct{ memorySpool }

func (*bottomless) NewDraft() (Draft, error) {
	return &nowhere{Draft: &memoryDraft{s: new(memorySpool), id: "id"}}, nil
}

// TestConstantMemory: 100 MB take as little as 1 MB, in lines, in chunks, and
// refused.
func TestConstantMemory(t *testing.T) {
	line := strings.Repeat("x", 76) + "\r\n"
	block := "\r\n" + strings.Repeat(line, 800) // 62 KiB
	allocated := func(first, piece, rest string, n int) uint64 {
		c := everything(new(bottomless))
		c.MaxBytes = 0
		conn := &flood{reel: reel{pieces: []string{envelopeOf + first}}, piece: piece, rest: rest + "QUIT\r\n", n: n}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		Serve(t.Context(), c, Client{}, conn)
		runtime.ReadMemStats(&after)
		if out := conn.out.String(); !strings.HasSuffix(out, "221 2.0.0 mx.local.test Closing connection\r\n") {
			t.Fatalf("%q", out)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	size := 1600 * len(block)
	for name, x := range map[string]struct{ first, small, rest string }{
		"lines":   {"DATA\r\n", "DATA\r\n", ".\r\n"},
		"chunk":   {fmt.Sprintf("BDAT %d LAST\r\n", size), fmt.Sprintf("BDAT %d LAST\r\n", size/100), ""},
		"refused": {"DATA\r\n" + strings.Repeat("Received: x\r\n", maxReceived+1), "DATA\r\n" + strings.Repeat("Received: x\r\n", maxReceived+1), "\r\n.\r\n"},
	} {
		piece, n := block, 1600
		if name == "refused" { // refused: only so much of it is read
			piece, n = strings.Repeat("x", len(block)), 900
		}
		small := allocated(x.small, piece, x.rest, 16)
		large := allocated(x.first, piece, x.rest, n)
		if large > small+64<<10 {
			t.Errorf("%s: %d octets of memory for 1 MB, %d for 100 MB", name, small, large)
		}
	}
}

// TestRecipientsFill: of recipients with long names and parameters as many are
// accepted as the envelope holds, with the words on what became of each.
func TestRecipientsFill(t *testing.T) {
	t.Parallel()
	for name, rcpt := range map[string]string{
		"parameters": "RCPT TO:<b%d@local.test> ORCPT=rfc822;" + strings.Repeat("x", 480) + " NOTIFY=SUCCESS,FAILURE,DELAY\r\n",
		"addresses":  "RCPT TO:<b%d" + strings.Repeat("x", 240) + "@local.test>\r\n",
		"short":      "RCPT TO:<b%d@local.test>\r\n",
	} {
		spool := new(memorySpool)
		c := everything(spool)
		c.MaxRecip = 0
		var b strings.Builder
		b.WriteString("EHLO c.test\r\nMAIL FROM:<>\r\n")
		for i := range envelope.MaxRecipients + 1 {
			fmt.Fprintf(&b, rcpt, i)
		}
		conn := &reel{pieces: []string{b.String(), "DATA\r\n.\r\nQUIT\r\n"}}
		Serve(t.Context(), c, Client{}, conn)
		if len(spool.committed) != 1 || !strings.Contains(conn.out.String(), "\r\n452 4.5.3 ") {
			t.Fatalf("%s: %d messages", name, len(spool.committed))
		}
		e := spool.committed[0].envelope
		n := len(e.Recipients())
		if n < 2000 || name == "short" && n != envelope.MaxRecipients {
			t.Errorf("%s: %d recipients", name, n)
		}
		for _, r := range e.Recipients() {
			if err := e.SetOutcome(r.Address, envelope.Outcome{Status: envelope.StatusFailed, Time: time.Unix(0, 0), Text: strings.Repeat("y", 1000)}); err != nil {
				t.Fatal(err)
			}
		}
		data, err := e.Marshal()
		if err != nil {
			t.Fatalf("%s: %d recipients: %v", name, n, err)
		}
		t.Logf("%s: %d recipients, %d octets", name, n, len(data))
	}
}
