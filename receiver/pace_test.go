package receiver

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// A timed is a client in a bubble, where time passes only while everybody waits.
type timed struct {
	t    *testing.T
	conn net.Conn
	in   *bufio.Reader
	done chan struct{}

	sending sync.WaitGroup // what says something in the background
}

// inBubble runs f with a client that was greeted by a session of this configuration.
func inBubble(t *testing.T, change func(*Config), f func(c *timed)) {
	inBubbleBefore(t, change, func(c *timed) {
		c.hear("220 ")
		f(c)
	})
}

// inBubbleBefore runs f before the greeting.
func inBubbleBefore(t *testing.T, change func(*Config), f func(c *timed)) {
	synctest.Test(t, func(t *testing.T) {
		config := everything(new(memorySpool))
		config.Timeout, config.MinRate = 5*time.Minute, 100
		if change != nil {
			change(&config)
		}
		c := startTimed(t, config)
		f(c)
		c.end()
	})
}

// startTimed starts a session in this bubble.
func startTimed(t *testing.T, config Config) *timed {
	ours, theirs := net.Pipe()
	c := &timed{t: t, conn: ours, in: bufio.NewReader(ours), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		defer theirs.Close()
		Serve(context.Background(), config, Client{Addr: netip.MustParseAddr("192.0.2.1")}, theirs)
	}()
	return c
}

// end waits for the session's end.
func (c *timed) end() {
	c.conn.Close()
	<-c.done
	c.sending.Wait()
}

func (c *timed) say(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.conn, text); err != nil {
		c.t.Fatalf("%q: %v", text, err)
	}
}

func (c *timed) hear(begin string) {
	c.t.Helper()
	for {
		line, err := c.in.ReadString('\n')
		if err != nil || !strings.HasPrefix(line, begin[:min(3, len(begin))]) {
			c.t.Fatalf("%q, %v, want %q", line, err, begin)
		}
		if line[3] == ' ' {
			if !strings.HasPrefix(line, begin) {
				c.t.Fatalf("%q, want %q", line, begin)
			}
			return
		}
	}
}

// envelope brings the client to where it sends the message.
func (c *timed) envelope() {
	c.t.Helper()
	for _, line := range strings.SplitAfter(strings.TrimSuffix(envelopeOf, "\r\n"), "\r\n") {
		c.say(strings.TrimSuffix(line, "\r\n") + "\r\n")
		c.hear("250 ")
	}
}

// TestFirstContentLate has a client that takes its time after 354. The octets
// that it then sends count before it is judged.
func TestFirstContentLate(t *testing.T) {
	inBubble(t, nil, func(c *timed) {
		c.envelope()
		c.say("DATA\r\n")
		c.hear("354 ")
		time.Sleep(4 * time.Minute)
		c.say("Subject: x\r\n\r\ntext\r\n.\r\n")
		c.hear("250 2.0.0 Mail accepted")
	})
}

// TestPauseInData: a pause within the timeout ends nobody's message, early or
// late in it, nor does a person who types.
func TestPauseInData(t *testing.T) {
	inBubble(t, nil, func(c *timed) {
		c.envelope()
		c.say("DATA\r\n")
		c.hear("354 ")
		c.say(strings.Repeat("0123456789abcde\r\n", 2000))
		time.Sleep(299 * time.Second)
		c.say(strings.Repeat("0123456789abcde\r\n", 2000))
		time.Sleep(299 * time.Second)
		c.say(".\r\n")
		c.hear("250 ")
		c.envelope()
		c.say("DATA\r\n")
		c.hear("354 ")
		for range 20 {
			time.Sleep(10 * time.Second)
			c.say("typed by hand\r\n")
		}
		c.say(".\r\n")
		c.hear("250 ")
	})
}

// slowSpool takes its time for each write.
type slowSpool struct{ memorySpool }

func (s *slowSpool) NewDraft() (Draft, error) {
	d, err := s.memorySpool.NewDraft()
	return slowDraft{d}, err
}

type slowDraft struct{ Draft }

func (d slowDraft) Write(p []byte) (int, error) {
	time.Sleep(200 * time.Second)
	return d.Draft.Write(p)
}

// TestOurDiskIsSlow: the time that our disk takes is not the client's.
func TestOurDiskIsSlow(t *testing.T) {
	inBubble(t, func(c *Config) { c.Spool, c.MinRate = new(slowSpool), 1000 }, func(c *timed) {
		c.envelope()
		c.say("DATA\r\n")
		c.hear("354 ")
		for range 10 {
			c.say("Subject: x\r\n")
		}
		c.say("\r\n.\r\n")
		c.hear("250 ")
	})
}

// TestNoCreditFromBefore: a megabyte at once does not pay for hours of nearly
// nothing, and a message has an end whatever its rate.
func TestNoCreditFromBefore(t *testing.T) {
	for name, x := range map[string]struct {
		first, more string
		every       time.Duration
		rate        int64
		most        time.Duration
		reply       string
	}{
		"a megabyte first": {strings.Repeat("0123456789abcde\r\n", 60_000), "x", 30 * time.Second, 100, 10 * time.Minute, "421 4.4.2 "},
		"just the rate":    {"", strings.Repeat("x", 6000), time.Minute, 100, 4*time.Hour + time.Minute, "421 4.4.2 "},
		"no rate":          {"", "x", 4 * time.Minute, 0, 4*time.Hour + time.Minute, "421 4.4.2 "},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(c *Config) { c.MinRate, c.MaxBytes = x.rate, 0 }, func(c *timed) {
				c.envelope()
				c.say("DATA\r\n")
				c.hear("354 ")
				began := time.Now()
				c.sending.Go(func() {
					_, err := io.WriteString(c.conn, x.first)
					for err == nil {
						time.Sleep(x.every)
						_, err = io.WriteString(c.conn, x.more)
					}
				})
				c.hear(x.reply)
				if took := time.Since(began); took > x.most {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// TestChunksDoNotDodge: a chunk of one octet does not free the commands behind it
// from all bounds.
func TestChunksDoNotDodge(t *testing.T) {
	for name, more := range map[string]string{"chunks": "BDAT 1\r\nx", "noop": "NOOP\r\n"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(c *Config) { c.MaxErrors = 0 }, func(c *timed) {
				c.envelope()
				began := time.Now()
				c.sending.Go(func() {
					_, err := io.WriteString(c.conn, "BDAT 1\r\nx")
					for err == nil {
						time.Sleep(250 * time.Second)
						_, err = io.WriteString(c.conn, more)
					}
				})
				for line := ""; !strings.HasPrefix(line, "421 4.4.2 "); {
					var err error
					if line, err = c.in.ReadString('\n'); err != nil {
						t.Fatal(err)
					}
				}
				if took := time.Since(began); took > 10*time.Minute {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}
