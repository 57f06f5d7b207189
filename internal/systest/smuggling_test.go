//go:build system

package systest

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"testing"
)

// endings are what one server or another has taken for the end of a message, and RFC 5321 does not: the findings of
// SEC Consult (2023) and what the scanners that followed try.
var endings = []string{
	"\n.\n", "\n.\r\n", "\n.\r", "\r.\r", "\r.\n", "\r.\r\n", "\r\n.\n", "\r\n.\r",
	"\r\n\x00.\r\n", "\r\n.\x00\r\n", "\r\n.\r\x00\n", "\n\n.\r\n", "\r\r.\r\r", "\r\n\r.\r\n", "\r\n.\r\r\n",
	"\n.\n\n", "\n\r.\r\n", "\r\n.\n\r\n", "\x00\n.\r\n",
}

const smuggled = "MAIL FROM:<mallory@client.test>\r\nRCPT TO:<smuggled@system.test>\r\nDATA\r\nSubject: smuggled\r\n\r\nbody\r\n.\r\nQUIT\r\n"

// TestSmuggling tries to have a message end where it does not: in DATA and BDAT, plain and within TLS, and commands end
// where they do not. No reply after it is 250, and nothing is spooled.
func TestSmuggling(t *testing.T) {
	t.Parallel()
	p := newPeer(t, "smap: maxperclient 500")
	commands := []string{"NOOP\nNOOP\r\n", "NOOP\rNOOP\r\n", "NOOP\n", "\nNOOP\r\n", "NOOP\r\r\n", "NOOP\r\n\n"}
	for _, secure := range []bool{false, true} {
		for _, ending := range endings {
			t.Run(fmt.Sprintf("tls %t, DATA, %q", secure, ending), func(t *testing.T) {
				c := p.smuggler(t, secure)
				c.transaction("bob@system.test")
				c.refusesAll("Subject: outer\r\n\r\nouter" + ending + smuggled)
			})
			t.Run(fmt.Sprintf("tls %t, BDAT, %q", secure, ending), func(t *testing.T) {
				c := p.smuggler(t, secure)
				c.recipients("bob@system.test")
				text := "Subject: outer\r\n\r\nouter" + ending + smuggled
				c.refusesAll(fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text))
			})
		}
		for _, line := range commands {
			t.Run(fmt.Sprintf("tls %t, command, %q", secure, line), func(t *testing.T) {
				c := p.smuggler(t, secure)
				c.say("EHLO client.test", "250")
				if _, err := io.WriteString(c, line+smuggled); err != nil {
					t.Fatal(err)
				}
				rest, _ := io.ReadAll(c.in) // a reset at the end is an end, too
				// One command may end before the octets that end none.
				replies := strings.TrimPrefix(string(rest), "250 2.0.0 OK\r\n")
				if !strings.HasPrefix(replies, "5") || strings.Contains(replies, "\r\n250") || strings.Contains(replies, "\r\n354") {
					t.Errorf("replies %q", rest)
				}
			})
		}
	}
	p.nothing(t)
	p.logged(t, "securityalert: line without CR LF in a message ")
	p.logged(t, "securityalert: line without CR LF client=")

	// What looks like it and is not: the message arrives as it was sent.
	text := "Subject: dots\n\n.\n..\n. \n.x\n\n.\n"
	c := p.smuggler(t, false)
	c.transaction("bob@system.test")
	c.say(stuffed(text)+".", "250 ")
	if got := split(p.spooledFor("bob@", 1, 0)[0].content).rest; got != text {
		t.Errorf("spooled %q, want %q", got, text)
	}
}

// smuggler is a client that was greeted, and has TLS.
func (p *peer) smuggler(t *testing.T, secure bool) *smtpConn {
	t.Helper()
	c := dialSMTP(t, p.port)
	c.reply("220 ")
	if secure {
		return c.startTLS(p.ca)
	}
	return c
}

// startTLS makes the connection secure, believing this authority alone.
func (c *smtpConn) startTLS(ca string) *smtpConn {
	c.t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(readFile(c.t, ca))) {
		c.t.Fatalf("%s holds no certificate", ca)
	}
	c.say("EHLO client.test", "250")
	c.say("STARTTLS", "220 ")
	secure := tls.Client(c.Conn, &tls.Config{RootCAs: pool, ServerName: "mx.system.test"})
	if err := secure.Handshake(); err != nil {
		c.t.Fatal(err)
	}
	return newConn(c.t, secure)
}

// refusesAll sends it at once, and wants one refusal and the end.
func (c *smtpConn) refusesAll(octets string) {
	c.t.Helper()
	if _, err := io.WriteString(c, octets); err != nil {
		c.t.Fatal(err)
	}
	c.reply("550 5.5.2 ")
	if rest, _ := io.ReadAll(c.in); len(rest) > 0 {
		c.t.Errorf("after the refusal came %q", rest)
	}
}
