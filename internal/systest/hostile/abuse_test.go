//go:build system

package hostile

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestAbuse plays clients that want to harm: each gets a fitting reply or a closed connection and a line in the log, and
// nothing of them is in the spool.
func TestAbuse(t *testing.T) {
	t.Parallel()
	p := kit.NewPeer(t, "smap: timeout 3", "smap: maxbytes 0", "smap: maxperclient 500")
	for name, play := range map[string]func(*testing.T, *kit.Peer){
		"slow command":      slowCommand,
		"slow message":      slowMessage,
		"slow handshake":    slowHandshake,
		"noop":              onlyNoop,
		"nonsense":          onlyNonsense,
		"recipients":        endlessRecipients,
		"unknown":           endlessRefusals,
		"line of a command": longCommand,
		"starttls":          injectedCommand,
		"handshake":         injectedHandshake,
		"bdat":              bdatLies,
		"reset":             resetInMessage,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			play(t, p.In(t))
		})
	}
	t.Cleanup(func() {
		if names := p.Names("new"); len(names) != 2 { // of the first thousand recipients
			t.Errorf("in new/: %v", names)
		}
	})
}

// begin greets, with a name that marks the client in the log.
func begin(t *testing.T, p *kit.Peer, name string) *kit.SMTPConn {
	t.Helper()
	c := kit.DialSMTP(t, p.Port)
	c.Reply("220 ")
	c.Say("EHLO "+name, "250")
	return c
}

// ended wants the connection to be closed, without another word.
func ended(c *kit.SMTPConn) {
	c.T.Helper()
	if rest, err := io.ReadAll(c.In); err != nil || len(rest) > 0 {
		c.T.Errorf("before the end came %q, %v", rest, err)
	}
}

// drip sends an octet now and then until the server ends it or the time is over.
func drip(c *kit.SMTPConn) {
	go func() {
		for range 100 {
			if _, err := c.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
	}()
}

func slowCommand(t *testing.T, p *kit.Peer) {
	c := begin(t, p, "slow-command")
	drip(c)
	c.Reply("421 4.4.2 mx.system.test Timeout")
	ended(c)
	p.Logged(t, "exit ", "why=timeout")
}

func slowMessage(t *testing.T, p *kit.Peer) {
	c := begin(t, p, "slow-message")
	c.Transaction("slow@system.test")
	drip(c)
	c.Reply("421 4.4.2 mx.system.test Too slow")
	ended(c)
	p.Logged(t, "refused ", "command=DATA ", "Too slow")
}

func slowHandshake(t *testing.T, p *kit.Peer) {
	c := begin(t, p, "slow-handshake")
	c.Say("STARTTLS", "220 ")
	// The beginning of a record that never ends.
	if _, err := c.Write([]byte{22, 3, 1, 2, 0, 1}); err != nil {
		t.Fatal(err)
	}
	drip(c)
	c.Reply("421 ")
	ended(c)
	p.Logged(t, "tls ", "error=")
}

func onlyNoop(t *testing.T, p *kit.Peer) {
	c := begin(t, p, "only-noop")
	for n := 0; ; n++ {
		if n > 1000 {
			t.Fatal("NOOP for ever")
		}
		if r := c.Say("NOOP", ""); !strings.HasPrefix(r, "250 ") {
			if !strings.HasPrefix(r, "421 4.7.0 ") {
				t.Errorf("after %d came %q", n, r)
			}
			break
		}
	}
	ended(c)
	p.Logged(t, "Too many commands without a message")
}

func onlyNonsense(t *testing.T, p *kit.Peer) {
	c := begin(t, p, "only-nonsense")
	for range 10 { // maxerrors
		c.Say("XYZZY", "500 5.5.1 ")
	}
	c.Say("XYZZY", "421 4.7.0 ")
	ended(c)
	p.Logged(t, "refused ", "Too many errors")
}

// endlessRecipients sends ten times as many recipients as a message may have; those accepted get it.
func endlessRecipients(t *testing.T, p *kit.Peer) {
	c := begin(t, p, "endless-recipients")
	c.Say("MAIL FROM:<"+kit.FromAddress+">", "250 ")
	const limit, sent = 1000, 10_000
	before := kit.Memory(t, p.Child(t), "VmRSS")
	go func() {
		var b bytes.Buffer
		for i := range sent {
			fmt.Fprintf(&b, "RCPT TO:<many-%d@system.test>\r\n", i)
		}
		b.WriteString("DATA\r\n")
		b.WriteTo(c) //nolint:errcheck // the replies tell
	}()
	for i := range sent {
		if i < limit {
			c.Reply("250 2.1.5 ")
		} else {
			c.Reply("452 4.5.3 ")
		}
	}
	c.Reply("354 ")
	c.Say("Subject: many\r\n\r\n.", "250 2.0.0 ")
	c.Say("QUIT", "221 ")
	if n := len(p.SpooledFor("<many-0@system.test>", 1, 0)[0].Recipients); n != limit {
		t.Errorf("%d recipients in the envelope, want %d", n, limit)
	}
	if grown := kit.Memory(t, p.Child(t), "VmRSS") - before; grown > 16<<10 {
		t.Errorf("%d recipients took %d KiB", sent, grown)
	}
}

func endlessRefusals(t *testing.T, p *kit.Peer) {
	c := begin(t, p, "endless-refusals")
	c.Say("MAIL FROM:<"+kit.FromAddress+">", "250 ")
	for range 100 {
		c.Say("RCPT TO:<bob@elsewhere.test>", "550 5.7.1 ")
	}
	c.Say("RCPT TO:<bob@elsewhere.test>", "421 4.7.0 ")
	ended(c)
	p.Logged(t, "refused ", "Too many refused recipients")
}

const hundred = 100_000_000

// TestLongLine: only maxbytes bounds the lines of a message, and one of 100 MB takes no memory.
func TestLongLine(t *testing.T) {
	t.Parallel()
	p := kit.NewPeer(t, "smap: maxbytes 0")
	c := begin(t, p, "long-line")
	c.Transaction("long@system.test")
	endless(c, p, "\r\n.\r\n", "250 2.0.0 ")
	m := p.SpooledFor("<long@system.test>", 1, 0)[0]
	if !strings.HasSuffix(m.Content, "\n"+strings.Repeat("x", hundred)+"\n") {
		t.Errorf("the content has %d octets", len(m.Content))
	}
}

// longCommand: what is read of a command is bounded, and its end is not waited for.
func longCommand(t *testing.T, p *kit.Peer) {
	endless(begin(t, p, "long-command"), p, "", "500 5.5.2 ")
	p.Logged(t, "securityalert: line without end ")
}

// endless sends a line of 100 MB, or what the server takes of it, and an end, and wants a reply.
func endless(c *kit.SMTPConn, p *kit.Peer, end, want string) {
	c.T.Helper()
	before := kit.Memory(c.T, p.Child(c.T), "VmRSS")
	done := make(chan struct{})
	go func() {
		defer close(done)
		block := bytes.Repeat([]byte("x"), 1<<16)
		for sent := 0; sent < hundred; sent += len(block) {
			if _, err := c.Write(block[:min(len(block), hundred-sent)]); err != nil {
				return
			}
		}
		if _, err := io.WriteString(c, end); err != nil {
			return
		}
	}()
	c.Reply(want)
	<-done
	if grown := kit.Memory(c.T, p.Child(c.T), "VmRSS") - before; grown > 16<<10 {
		c.T.Errorf("a line of 100 MB took %d KiB", grown)
	}
}

// injectedCommand sends a command in one segment with STARTTLS, as somebody between the two would.
func injectedCommand(t *testing.T, p *kit.Peer) {
	c := begin(t, p, "injected-command")
	c.Say("STARTTLS\r\nMAIL FROM:<mallory@client.test>\r\nRCPT TO:<injected@system.test>", "501 5.5.1 ")
	ended(c)
	p.Logged(t, "securityalert: commands behind STARTTLS ")
}

// injectedHandshake sends it where the handshake has to be.
func injectedHandshake(t *testing.T, p *kit.Peer) {
	c := begin(t, p, "injected-handshake")
	c.Say("STARTTLS", "220 ")
	c.Say("MAIL FROM:<mallory@client.test>", "421 4.7.0 ")
	ended(c)
	p.Logged(t, "tls ", "first record does not look like a TLS handshake")
}

// bdatLies announces more than comes, and then so much less that the rest are bad commands.
func bdatLies(t *testing.T, p *kit.Peer) {
	c := begin(t, p, "bdat-more")
	c.Recipients("bdat@system.test")
	c.Say("BDAT 1000 LAST\r\nSubject: short\r\n\r\n", "421 4.4.2 mx.system.test Too slow")
	ended(c)

	c = begin(t, p, "bdat-less")
	c.Recipients("bdat@system.test")
	c.Say("BDAT 5\r\nSubjec", "250 ")
	c.Reply("500 5.5.1 ")
	c.Close()
	p.Logged(t, "refused ", "command=c ")
}

func resetInMessage(t *testing.T, p *kit.Peer) {
	c := begin(t, p, "reset")
	c.Transaction("reset@system.test")
	if _, err := c.Write([]byte(strings.Repeat("half a message\r\n", 1000))); err != nil {
		t.Fatal(err)
	}
	if err := c.Conn.(*net.TCPConn).SetLinger(0); err != nil {
		t.Fatal(err)
	}
	c.Close()
	p.Logged(t, "refused ", "command=DATA ", "Connection lost")
}

// TestEarlyTalker speaks before it is greeted; the server is held until that has arrived.
func TestEarlyTalker(t *testing.T) {
	t.Parallel()
	p := kit.NewPeer(t, "smap: greet-delay 1")
	if err := syscall.Kill(p.Child(t), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	c := kit.DialSMTP(t, p.Port)
	if _, err := c.Write([]byte("EHLO client.test\r\nMAIL FROM:<mallory@client.test>\r\n")); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(p.Child(t), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	c.Reply("554 ")
	ended(c)
	p.Logged(t, "securityalert: input before the greeting ")
	p.Nothing(t)
}

// TestPortCheck connects and leaves, as monitors and scanners do: no attack.
func TestPortCheck(t *testing.T) {
	t.Parallel()
	p := kit.NewPeer(t)
	if !kit.Eventually(10*time.Second, func() bool { return strings.Contains(p.Smap.Log(), "why=vanished") }) ||
		strings.Contains(p.Smap.Log(), "securityalert") {
		t.Errorf("the log tells something else than a client that vanished")
	}
}
