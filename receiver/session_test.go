package receiver

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// BenchmarkSession is what a session costs beside the disk and the network: one
// message of 4 KiB, and each further one.
func BenchmarkSession(b *testing.B) {
	message := "MAIL FROM:<a@c.test> SIZE=4096\r\nRCPT TO:<b@local.test>\r\nDATA\r\nSubject: x\r\n\r\n" +
		strings.Repeat(strings.Repeat("x", 76)+"\r\n", 52) + ".\r\n"
	run := func(b *testing.B, messages int) {
		conn := &reel{pieces: []string{"EHLO c.test\r\n" + strings.Repeat(message, messages) + "QUIT\r\n"}}
		Serve(b.Context(), everything(new(bottomless)), Client{}, conn)
		if strings.Count(conn.out.String(), "accepted") != messages {
			b.Fatalf("%.1000s", conn.out.String())
		}
	}
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			run(b, 1)
		}
	})
	b.Run("further", func(b *testing.B) {
		b.ReportAllocs()
		run(b, b.N)
	})
}

// TestOver: after QUIT, or when the client is gone, there is nothing more to wait
// for. In all other cases a connection that is closed at once may take replies
// with it that are on their way.
func TestOver(t *testing.T) {
	for _, test := range []struct {
		name   string
		pieces []string
		more   bool
	}{
		{"quit", []string{"HELO c.test\r\n", "QUIT\r\n"}, false},
		{"vanished", []string{"HELO c.test\r\n"}, false},
		{"more behind quit", []string{"HELO c.test\r\nQUIT\r\nNOOP\r\n"}, true},
		{"attack", []string{"GET / HTTP/1.0\r\n", "\r\n"}, true},
		{"bare line end", []string{"HELO c.test\n", "QUIT\r\n"}, true},
		{"quit with an argument", []string{"QUIT now\r\n", "WIZ\r\n"}, true},
	} {
		if more := Serve(t.Context(), everything(new(memorySpool)), Client{}, &reel{pieces: test.pieces}); more != test.more {
			t.Errorf("%s: %v", test.name, more)
		}
	}
}

// brittle makes drafts that panic when a client's octets are written to them.
type brittle struct {
	Spool
	writes, aborted int
}

func (s *brittle) NewDraft() (Draft, error) {
	d, err := s.Spool.NewDraft()
	return brittleDraft{d, s}, err
}

type brittleDraft struct {
	Draft
	s *brittle
}

func (d brittleDraft) Write(p []byte) (int, error) {
	d.s.writes++
	if d.s.writes > 1 { // the first is of our Received
		panic("brittle")
	}
	return d.Draft.Write(p)
}

func (d brittleDraft) Abort() error {
	d.s.aborted++
	return d.Draft.Abort()
}

// TestPanic ends a session in the middle of a message. Others go on in the same
// process, so nothing of it may stay open.
func TestPanic(t *testing.T) {
	s := newStage(t)
	spool := &brittle{Spool: s.config.Spool}
	s.config.Spool = spool
	func() {
		defer func() {
			if p := recover(); p != "brittle" {
				t.Errorf("%v instead of a panic", p)
			}
		}()
		conn := &reel{pieces: []string{"EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@local.test>\r\nDATA\r\nx\r\n.\r\n"}}
		Serve(t.Context(), s.config, s.client, conn)
	}()
	if spool.aborted != 1 {
		t.Errorf("%d drafts were taken back", spool.aborted)
	}
	s.nothingLeft()
}

// TestSeconds: a session's time has no digits that nobody meant.
func TestSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{2506 * time.Millisecond: "2.506", 1500 * time.Microsecond: "0.002", 0: "0", time.Hour: "3600"} {
		if got := fmt.Sprint(seconds(d)); got != want {
			t.Errorf("%v: %s, want %s", d, got, want)
		}
	}
}
