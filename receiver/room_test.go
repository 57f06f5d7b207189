package receiver

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// A smallSpool has so many octets of room, and drafts that take it and keep nothing
// but their size.
type smallSpool struct{ free atomic.Int64 }

func (s *smallSpool) Free() (bytes, inodes uint64, err error) {
	return uint64(s.free.Load()), 1 << 20, nil
}

func (s *smallSpool) NewDraft() (Draft, error) {
	return &smallDraft{Draft: &memoryDraft{s: new(memorySpool), id: "id"}, small: s}, nil
}

type smallDraft struct {
	Draft
	small *smallSpool
	size  int64
}

func (d *smallDraft) Size() int64 { return d.size }

func (d *smallDraft) Write(p []byte) (int, error) {
	d.size += int64(len(p))
	d.small.free.Add(-int64(len(p)))
	return len(p), nil
}

func (d *smallDraft) Abort() error {
	d.small.free.Add(d.size)
	return nil
}

// TestRoomForThree: of six messages that come at the same time, where there is
// room for three, three are accepted. They declare their size.
func TestRoomForThree(t *testing.T) {
	const size, others = 10 << 20, 1 << 20
	spool := new(smallSpool)
	spool.free.Store(3*size + 2*others)
	line := strings.Repeat("x", 1022) + "\r\n"
	reserved := new(atomic.Int64)
	synctest.Test(t, func(t *testing.T) {
		var clients []*timed
		for range 6 {
			config := everything(spool)
			config.MaxBytes, config.MinFree, config.Reserved = 0, others, reserved
			c := startTimed(t, config)
			c.hear("220 ")
			c.say("EHLO c.test\r\n")
			c.hear("250 ")
			c.say(fmt.Sprintf("MAIL FROM:<a@c.test> SIZE=%d\r\n", size))
			c.hear("250 ")
			c.say("RCPT TO:<b@local.test>\r\n")
			c.hear("250 ")
			clients = append(clients, c)
		}
		// All have begun before one of them goes on.
		var sending []*timed
		for _, c := range clients {
			c.say("DATA\r\n")
			if line, err := c.in.ReadString('\n'); err != nil {
				t.Fatal(err)
			} else if strings.HasPrefix(line, "354 ") {
				sending = append(sending, c)
			} else if !strings.HasPrefix(line, "452 4.3.1 ") {
				t.Errorf("%q", line)
			}
		}
		for _, c := range sending {
			c.say(strings.Repeat(line, size/1024-1) + ".\r\n")
			c.hear("250 2.0.0 Mail accepted")
		}
		for _, c := range clients {
			c.end()
		}
		if len(sending) != 3 || reserved.Load() != 0 {
			t.Errorf("%d were accepted; %d octets are still reserved", len(sending), reserved.Load())
		}
	})
}

// TestRoomRunsOut: a message that does not say how long it is ends before it
// takes what minfree wants, and gives back what it took.
func TestRoomRunsOut(t *testing.T) {
	spool := new(smallSpool)
	spool.free.Store(20 << 20)
	c := everything(spool)
	c.MaxBytes, c.MinFree, c.Reserved = 0, 8<<20, new(atomic.Int64)
	least := int64(1 << 60)
	body := strings.Repeat(strings.Repeat("x", 1022)+"\r\n", 30<<10)
	conn := &watched{reel{pieces: []string{envelopeOf + "DATA\r\n", body + ".\r\n"}}, func() { least = min(least, spool.free.Load()) }}
	Serve(context.Background(), c, Client{}, conn)
	if !strings.Contains(conn.out.String(), "\r\n452 4.3.1 ") || least < 8<<20 || spool.free.Load() != 20<<20 || c.Reserved.Load() != 0 {
		t.Errorf("%q; %d octets were free at least, %d at the end; %d reserved", conn.out.String(), least, spool.free.Load(), c.Reserved.Load())
	}
}

// A watched reel calls a function at each read.
type watched struct {
	reel
	look func()
}

func (w *watched) Read(p []byte) (int, error) {
	w.look()
	return w.reel.Read(p)
}
