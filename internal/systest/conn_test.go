//go:build system

package systest

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"
)

// smtpConn is a client that a test plays by hand.
type smtpConn struct {
	t *testing.T
	net.Conn
	in *bufio.Reader
}

func dialSMTP(t *testing.T, port int) *smtpConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", local(port), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return newConn(t, c)
}

func newConn(t *testing.T, c net.Conn) *smtpConn {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &smtpConn{t: t, Conn: c, in: bufio.NewReader(c)}
}

// reply reads one whole reply and wants its first line to begin so.
func (c *smtpConn) reply(want string) string {
	c.t.Helper()
	all := ""
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			c.t.Fatalf("reading a reply: %v, after %q", err, all)
		}
		all += line
		if len(line) < 4 || line[3] != '-' {
			break
		}
	}
	if !strings.HasPrefix(all, want) {
		c.t.Fatalf("reply %q, want %q", all, want)
	}
	return all
}

func (c *smtpConn) say(line, want string) string {
	c.t.Helper()
	if _, err := c.Write([]byte(line + "\r\n")); err != nil {
		c.t.Fatal(err)
	}
	return c.reply(want)
}

// dialPatiently waits for a server that is about to listen, without a connection that it would have to serve.
func dialPatiently(t *testing.T, port int) *smtpConn {
	t.Helper()
	var c *smtpConn
	if !eventually(15*time.Second, func() bool {
		conn, err := net.Dial("tcp", local(port))
		if err == nil {
			c = newConn(t, conn)
		}
		return err == nil
	}) {
		t.Fatalf("nothing listens on port %d", port)
	}
	return c
}

// greeted tells whether the server greets within that time.
func (c *smtpConn) greeted(limit time.Duration) bool {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		c.t.Fatal(err)
	}
	_, err := c.in.ReadString('\n')
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		c.t.Fatal(err)
	}
	return err == nil
}

// mail sends a whole session with one message.
func (c *smtpConn) mail(text string, to ...string) {
	c.t.Helper()
	c.reply("220 ")
	c.transaction(to...)
	c.say(stuffed(text)+".", "250 2.0.0 Mail accepted")
	c.say("QUIT", "221 ")
}

// transaction goes from EHLO to where the message begins.
func (c *smtpConn) transaction(to ...string) {
	c.t.Helper()
	c.recipients(to...)
	c.say("DATA", "354 ")
}

// recipients goes from EHLO to after the recipients.
func (c *smtpConn) recipients(to ...string) {
	c.t.Helper()
	c.say("EHLO client.test", "250")
	c.say("MAIL FROM:<"+fromAddress+">", "250 ")
	for _, r := range to {
		c.say("RCPT TO:<"+r+">", "250 ")
	}
}

// stuffed is a text as DATA transmits it.
func stuffed(text string) string {
	lines := strings.SplitAfter(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") {
			lines[i] = "." + l
		}
	}
	return crlf(strings.Join(lines, ""))
}
