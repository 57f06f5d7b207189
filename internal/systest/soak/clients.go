//go:build system

package soak

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"time"

	"smap/internal/systest/kit"
)

// mailClient is a client that gives up with an error: the server may be killed at any moment.
type mailClient struct {
	net.Conn
	in *bufio.Reader
}

func dialMail(port int) (*mailClient, error) {
	conn, err := net.DialTimeout("tcp", kit.Local(port), 10*time.Second)
	if err != nil {
		return nil, err
	}
	return &mailClient{conn, bufio.NewReader(conn)}, conn.SetDeadline(time.Now().Add(time.Minute))
}

// hear reads one whole reply and wants it to begin so.
func (c *mailClient) hear(want string) error {
	for {
		line, err := c.in.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.HasPrefix(line, want) {
			return fmt.Errorf("reply %q, want %s", line, want)
		}
		if len(line) < 4 || line[3] != '-' {
			return nil
		}
	}
}

// say sends lines at once and then wants these replies, one after the other.
func (c *mailClient) say(lines string, want ...string) error {
	if _, err := io.WriteString(c.Conn, lines); err != nil {
		return err
	}
	for _, w := range want {
		if err := c.hear(w); err != nil {
			return err
		}
	}
	return nil
}

// dialects are the ways in which a client may send: each goes from the greeting to before the first MAIL.
var dialects = []string{"HELO", "EHLO", "pipelined", "BDAT", "TLS"}

// session sends some mail in one session.
func session(port int, dialect, ca string, mail []piece, b *books) error {
	c, err := dialMail(port)
	if err != nil {
		return err
	}
	defer func() { c.Close() }()
	hello := "EHLO client.test\r\n"
	if dialect == "HELO" {
		hello = "HELO client.test\r\n"
	}
	if err := c.hear("220"); err != nil {
		return err
	}
	if err := c.say(hello, "250"); err != nil {
		return err
	}
	if dialect == "TLS" {
		if err := c.secure(ca); err != nil {
			return err
		}
		if err := c.say(hello, "250"); err != nil {
			return err
		}
	}
	for _, l := range mail {
		if err := c.send(dialect, l, b.text(l.mark)); err != nil {
			return err
		}
		b.promise(l)
	}
	return c.say("QUIT\r\n", "221")
}

func (c *mailClient) secure(ca string) error {
	if err := c.say("STARTTLS\r\n", "220"); err != nil {
		return err
	}
	pem, err := os.ReadFile(ca)
	if err != nil {
		return err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	conn := tls.Client(c.Conn, &tls.Config{RootCAs: roots, ServerName: "mx.system.test"})
	c.Conn, c.in = conn, bufio.NewReader(conn)
	return conn.Handshake()
}

// send sends one piece; nil is an acknowledgement.
func (c *mailClient) send(dialect string, l piece, content string) error {
	commands, replies := []string{"MAIL FROM:<" + l.mark + "@client.test>\r\n"}, []string{"250"}
	for _, to := range l.to {
		commands, replies = append(commands, "RCPT TO:<"+to+"@system.test>\r\n"), append(replies, "250")
	}
	text := kit.CRLF(content)
	switch dialect {
	case "BDAT":
		n := rand.IntN(len(text))
		commands, replies = append(commands, fmt.Sprintf("BDAT %d\r\n%s", n, text[:n])), append(replies, "250")
		return c.say(strings.Join(commands, "")+fmt.Sprintf("BDAT %d LAST\r\n%s", len(text)-n, text[n:]), append(replies, "250")...)
	case "pipelined":
		if err := c.say(strings.Join(commands, "")+"DATA\r\n", append(replies, "354")...); err != nil {
			return err
		}
	default:
		for i := range commands {
			if err := c.say(commands[i], replies[i]); err != nil {
				return err
			}
		}
		if err := c.say("DATA\r\n", "354"); err != nil {
			return err
		}
	}
	return c.say(kit.Stuffed(content)+".\r\n", "250")
}

// nuisances are clients that nobody wants: what each says, one piece after the other with a pause between them, and
// how its session has to end. "" is the client's own leaving.
var nuisances = map[string]struct {
	pieces []string
	pause  time.Duration
	ends   string
}{
	"garbage":      {[]string{"\x00\xff\x16\x03\x01garbage\r\n"}, 0, "421"},
	"nonsense":     {strings.SplitAfter(strings.Repeat("XYZZY\r\n", 20), "\n"), 0, "421"},
	"noop":         {[]string{"EHLO client.test\r\n", strings.Repeat("NOOP\r\n", 150)}, 0, "421"},
	"bare LF":      {[]string{"EHLO client.test\r\n", inMessage, "smuggled\n.\n"}, 0, "550"},
	"long":         {[]string{strings.Repeat("x", 1<<17)}, 0, "500"},
	"port check":   {nil, 0, ""},
	"half message": {[]string{"EHLO client.test\r\n", inMessage, strings.Repeat("half a message\r\n", 3000)}, 0, ""},
	"half BDAT":    {[]string{"EHLO client.test\r\nMAIL FROM:<half@client.test>\r\nRCPT TO:<half@system.test>\r\nBDAT 90000\r\nhalf"}, 0, ""},
	"half TLS":     {[]string{"EHLO client.test\r\nSTARTTLS\r\n", "\x16\x03\x01\x02\x00\x01"}, 0, ""},
	"slow command": {strings.Split(strings.Repeat("x", 100), ""), 300 * time.Millisecond, "421"},
	"slow message": {append([]string{"EHLO client.test\r\n", inMessage}, strings.Split(strings.Repeat("x", 150), "")...), 300 * time.Millisecond, "421"},
	"silent":       {[]string{"EHLO client.test\r\n"}, 0, "421"},
}

const inMessage = "MAIL FROM:<half@client.test>\r\nRCPT TO:<half@system.test>\r\nDATA\r\n"

// annoy plays one of these and returns the last reply, of which the first three characters are the code.
func annoy(port int, name string) (last string, err error) {
	n := nuisances[name]
	c, err := dialMail(port)
	if err != nil {
		return "", err
	}
	defer c.Close()
	if err := c.hear("220"); err != nil {
		return "", err
	}
	said := make(chan struct{})
	go func() {
		defer close(said)
		for _, piece := range n.pieces {
			if _, err := io.WriteString(c.Conn, piece); err != nil {
				return
			}
			time.Sleep(max(n.pause, 10*time.Millisecond))
		}
		if n.ends == "" {
			if rand.IntN(2) == 0 {
				err = c.Conn.(*net.TCPConn).SetLinger(0)
			}
			c.Close()
		}
	}()
	for {
		line, rerr := c.in.ReadString('\n')
		if rerr != nil {
			c.Close()
			<-said
			return last, nil
		}
		last = line
	}
}
