//go:build system

package kit

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"
)

// SMTPConn is a client that a test plays by hand.
type SMTPConn struct {
	T *testing.T
	net.Conn
	In *bufio.Reader
}

// DialSMTP connects to a port of the loopback address.
func DialSMTP(t *testing.T, port int) *SMTPConn {
	t.Helper()
	c, err := net.DialTimeout("tcp", Local(port), 10*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	return NewConn(t, c)
}

// NewConn makes a client of an open connection.
func NewConn(t *testing.T, c net.Conn) *SMTPConn {
	t.Helper()
	t.Cleanup(func() { c.Close() })
	if err := c.SetDeadline(time.Now().Add(5 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	return &SMTPConn{T: t, Conn: c, In: bufio.NewReader(c)}
}

// Reply reads one whole reply and wants its first line to begin so.
func (c *SMTPConn) Reply(want string) string {
	c.T.Helper()
	all := ""
	for {
		line, err := c.In.ReadString('\n')
		if err != nil {
			c.T.Fatalf("reading a reply: %v, after %q", err, all)
		}
		all += line
		if len(line) < 4 || line[3] != '-' {
			break
		}
	}
	if !strings.HasPrefix(all, want) {
		c.T.Fatalf("reply %q, want %q", all, want)
	}
	return all
}

// Say sends one line and wants a reply that begins with code.
func (c *SMTPConn) Say(line, want string) string {
	c.T.Helper()
	if _, err := c.Write([]byte(line + "\r\n")); err != nil {
		c.T.Fatal(err)
	}
	return c.Reply(want)
}

// DialPatiently waits for a server that is about to listen, without a connection that it would have to serve.
func DialPatiently(t *testing.T, port int) *SMTPConn {
	t.Helper()
	var c *SMTPConn
	if !Eventually(15*time.Second, func() bool {
		conn, err := net.Dial("tcp", Local(port))
		if err == nil {
			c = NewConn(t, conn)
		}
		return err == nil
	}) {
		t.Fatalf("nothing listens on port %d", port)
	}
	return c
}

// Greeted tells whether the server greets within that time.
func (c *SMTPConn) Greeted(limit time.Duration) bool {
	c.T.Helper()
	if err := c.SetReadDeadline(time.Now().Add(limit)); err != nil {
		c.T.Fatal(err)
	}
	_, err := c.In.ReadString('\n')
	if err := c.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		c.T.Fatal(err)
	}
	return err == nil
}

// Mail sends a whole session with one message.
func (c *SMTPConn) Mail(text string, to ...string) {
	c.T.Helper()
	c.Reply("220 ")
	c.Transaction(to...)
	c.Say(Stuffed(text)+".", "250 2.0.0 Mail accepted")
	c.Say("QUIT", "221 ")
}

// Transaction goes from EHLO to where the message begins.
func (c *SMTPConn) Transaction(to ...string) {
	c.T.Helper()
	c.Recipients(to...)
	c.Say("DATA", "354 ")
}

// Recipients goes from EHLO to after the recipients.
func (c *SMTPConn) Recipients(to ...string) {
	c.T.Helper()
	c.Say("EHLO client.test", "250")
	c.Say("MAIL FROM:<"+FromAddress+">", "250 ")
	for _, r := range to {
		c.Say("RCPT TO:<"+r+">", "250 ")
	}
}

// Stuffed is a text as DATA transmits it.
func Stuffed(text string) string {
	lines := strings.SplitAfter(text, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, ".") {
			lines[i] = "." + l
		}
	}
	return CRLF(strings.Join(lines, ""))
}
