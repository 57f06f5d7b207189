//go:build system

package hostile

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"strings"
	"testing"

	"smap/internal/systest/kit"
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
	p := kit.NewPeer(t, "smap: maxperclient 500")
	commands := []string{"NOOP\nNOOP\r\n", "NOOP\rNOOP\r\n", "NOOP\n", "\nNOOP\r\n", "NOOP\r\r\n", "NOOP\r\n\n"}
	for _, secure := range []bool{false, true} {
		for _, ending := range endings {
			t.Run(fmt.Sprintf("tls %t, DATA, %q", secure, ending), func(t *testing.T) {
				c := smuggler(t, p, secure)
				c.Transaction("bob@system.test")
				refusesAll(c, "Subject: outer\r\n\r\nouter"+ending+smuggled)
			})
			t.Run(fmt.Sprintf("tls %t, BDAT, %q", secure, ending), func(t *testing.T) {
				c := smuggler(t, p, secure)
				c.Recipients("bob@system.test")
				text := "Subject: outer\r\n\r\nouter" + ending + smuggled
				refusesAll(c, fmt.Sprintf("BDAT %d LAST\r\n%s", len(text), text))
			})
		}
		for _, line := range commands {
			t.Run(fmt.Sprintf("tls %t, command, %q", secure, line), func(t *testing.T) {
				c := smuggler(t, p, secure)
				c.Say("EHLO client.test", "250")
				if _, err := io.WriteString(c, line+smuggled); err != nil {
					t.Fatal(err)
				}
				rest, _ := io.ReadAll(c.In) // a reset at the end is an end, too
				// One command may end before the octets that end none.
				replies := strings.TrimPrefix(string(rest), "250 2.0.0 OK\r\n")
				if !strings.HasPrefix(replies, "5") || strings.Contains(replies, "\r\n250") || strings.Contains(replies, "\r\n354") {
					t.Errorf("replies %q", rest)
				}
			})
		}
	}
	p.Nothing(t)
	p.Logged(t, "securityalert: line without CR LF in a message ")
	p.Logged(t, "securityalert: line without CR LF client=")

	// What looks like it and is not: the message arrives as it was sent.
	text := "Subject: dots\n\n.\n..\n. \n.x\n\n.\n"
	c := smuggler(t, p, false)
	c.Transaction("bob@system.test")
	c.Say(kit.Stuffed(text)+".", "250 ")
	if got := kit.Split(p.SpooledFor("bob@", 1, 0)[0].Content).Rest; got != text {
		t.Errorf("spooled %q, want %q", got, text)
	}
}

// smuggler is a client that was greeted, and has TLS.
func smuggler(t *testing.T, p *kit.Peer, secure bool) *kit.SMTPConn {
	t.Helper()
	c := kit.DialSMTP(t, p.Port)
	c.Reply("220 ")
	if secure {
		return startTLS(c, p.CA)
	}
	return c
}

// startTLS makes the connection secure, believing this authority alone.
func startTLS(c *kit.SMTPConn, ca string) *kit.SMTPConn {
	c.T.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM([]byte(kit.ReadFile(c.T, ca))) {
		c.T.Fatalf("%s holds no certificate", ca)
	}
	c.Say("EHLO client.test", "250")
	c.Say("STARTTLS", "220 ")
	secure := tls.Client(c.Conn, &tls.Config{RootCAs: pool, ServerName: "mx.system.test"})
	if err := secure.Handshake(); err != nil {
		c.T.Fatal(err)
	}
	return kit.NewConn(c.T, secure)
}

// refusesAll sends it at once, and wants one refusal and the end.
func refusesAll(c *kit.SMTPConn, octets string) {
	c.T.Helper()
	if _, err := io.WriteString(c, octets); err != nil {
		c.T.Fatal(err)
	}
	c.Reply("550 5.5.2 ")
	if rest, _ := io.ReadAll(c.In); len(rest) > 0 {
		c.T.Errorf("after the refusal came %q", rest)
	}
}
