package agent

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"net"
	"strings"
	"testing"
	"time"
)

// readReply is what a server's octets are as a reply.
func readReply(t *testing.T, octets string) (reply, error) {
	t.Helper()
	c := &smtpConn{opt: &Remote{}, r: bufio.NewReaderSize(strings.NewReader(octets), maxReplyLine)}
	return c.read(time.Second)
}

func TestReply(t *testing.T) {
	for _, tt := range []struct {
		octets, text, status string
		code                 int // 0: not a reply
	}{
		{"250 2.1.5 ok\r\n", "2.1.5 ok", "2.1.5", 250},
		{"250-a\r\n250 b\r\n", "a b", "2.0.0", 250},
		{"250\n", "", "2.0.0", 250},
		{"250-\r\n250 \r\n", " ", "2.0.0", 250},
		{"550 5.1.10 no\r\n", "5.1.10 no", "5.1.10", 550},
		{"550 4.7.1 no\r\n", "4.7.1 no", "5.0.0", 550},
		{"550 5.7 no\r\n", "5.7 no", "5.0.0", 550},
		{"550 5.7.1.1 no\r\n", "5.7.1.1 no", "5.0.0", 550},
		{"550 5.x.1 no\r\n", "5.x.1 no", "5.0.0", 550},
		{"550 5\r\n", "5", "5.0.0", 550},
		{"450-" + strings.Repeat("a\r\n450-", maxReply-2) + "a\r\n450 b\r\n", strings.Repeat("a ", maxReply-1) + "b", "4.0.0", 450},
		{"450-" + strings.Repeat("a\r\n450-", maxReply-1) + "a\r\n450 b\r\n", "", "", 0},
		{"250 " + strings.Repeat("x", maxReplyLine-6) + "\r\n", strings.Repeat("x", maxReplyLine-6), "2.0.0", 250},
		{"250 " + strings.Repeat("x", maxReplyLine-5) + "\r\n", "", "", 0},
		{"250-a\r\n251 b\r\n", "", "", 0},
		{"250-a\r\n", "", "", 0},
		{"250 a", "", "", 0},
		{"25 a\r\n", "", "", 0},
		{"2a0 b\r\n", "", "", 0},
		{"250a\r\n250 b\r\n", "", "", 0},
		{"2500 a\r\n250 b\r\n", "", "", 0},
		{"\r\n", "", "", 0},
		{"", "", "", 0},
	} {
		r, err := readReply(t, tt.octets)
		if tt.code == 0 {
			if err == nil {
				t.Errorf("%.60q is a reply: %+v", tt.octets, r)
			}
			continue
		}
		if err != nil || r.code != tt.code || r.text != tt.text || r.status() != tt.status {
			t.Errorf("%.60q: %d %.60q, status %s, %v", tt.octets, r.code, r.text, r.status(), err)
		}
	}
}

// The reason in the log is what the server said first, not what it said later.
func TestFirstRefusal(t *testing.T) {
	for script, want := range map[string]string{
		"S: 554 no mail here\nC: EHLO\nS: 250 ok\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\n": "greeting: 554 no mail here",
		"S: 220 a\nC: EHLO\nS: 550 what\nC: HELO\nS: 550 who\nC: MAIL\nS: 250 ok\n":         "550 who",
	} {
		l := scriptedLoosely(t, script)
		if _, err := l.Deliver(t.Context(), job(t, "x\n", "b@x.test")); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
	a := scriptedLoosely(t, "S: 220 a\nC: LHLO\nS: 500 what\nC: HELO\nS: 250 ok\nC: MAIL\nS: 250 ok\n")
	a.LMTP = true
	if _, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); err == nil || !strings.Contains(err.Error(), "500 what") {
		t.Errorf("LMTP has no HELO: %v", err)
	}
}

// scriptedLoosely is a server that does not mind what the client says, or that
// it goes away.
func scriptedLoosely(t *testing.T, script string) *Remote {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		for line := range strings.Lines(script) {
			if said, ok := strings.CutPrefix(strings.TrimSpace(line), "S: "); ok {
				_, err = conn.Write([]byte(said + "\r\n"))
			} else {
				_, err = r.ReadString('\n')
			}
			if err != nil {
				return
			}
		}
	}()
	a, err := NewSMTP(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a.Helo, a.TLS = "me.test", TLSNone
	t.Cleanup(func() { a.Close(); l.Close(); <-done })
	return a
}

// Only the lines after the first of EHLO's reply are extensions, and no line of
// HELO's.
func TestExtensions(t *testing.T) {
	const rest = "C: MAIL FROM:<a@example.com>$\nS: 250 ok\nC: RCPT TO:<b@x.test>$\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 ok\n"
	for _, script := range []string{
		"S: 220 a\nC: EHLO me.test\nS: 250 8BITMIME\n",
		"S: 220 a\nC: EHLO me.test\nS: 500 what\nC: HELO me.test\nS: 250-a\nS: 250 8BITMIME\n",
	} {
		a := scripted(t, script+rest)
		if r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); err != nil || r[0].Outcome != Delivered {
			t.Errorf("%+v %v", r, err)
		}
		a.Close()
	}
}

func TestCommandRefused(t *testing.T) {
	var out bytes.Buffer
	c := &smtpConn{opt: &Remote{}, r: bufio.NewReader(strings.NewReader("250 ok\r\n")), w: bufio.NewWriter(&out)}
	if r, err := c.command("NOOP\r\nQUIT"); err == nil || out.Len() > 0 {
		t.Errorf("%+v, sent %q", r, out.String())
	}
}

// Passwords need a certificate that was checked. TLSMay checks none.
func TestVerified(t *testing.T) {
	cert, roots := certificate(t)
	for mode, want := range map[TLSMode]bool{TLSMay: false, TLSVerify: true, TLSImplicit: true} {
		a, err := NewSMTP("127.0.0.1")
		if err != nil {
			t.Fatal(err)
		}
		a.TLS, a.Roots = mode, roots
		ours, theirs := net.Pipe()
		done := make(chan error, 1)
		go func() {
			done <- tls.Server(theirs, &tls.Config{Certificates: []tls.Certificate{cert}}).HandshakeContext(t.Context())
		}()
		c := &smtpConn{opt: a, tls: mode, server: a.servers[0]}
		c.use(ours)
		c.raw.begin(a.limits.open)
		if err := c.handshake(t.Context()); err != nil || c.verified != want {
			t.Errorf("mode %v: verified %v, want %v: %v", mode, c.verified, want, err)
		}
		ours.Close()
		<-done
		theirs.Close()
	}
}

// A connection whose server refuses RSET is not used again: what it remembers of
// the last message is unknown.
func TestResetRefused(t *testing.T) {
	a := scripted(t, ehlo()+"C: MAIL\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no\nC: RSET\nS: 500 what\nWAIT\n",
		ehlo()+"C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 ok\n")
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if r, _ := a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); len(r) != 1 || r[0].Outcome != Failed {
		t.Errorf("%+v", r)
	}
	if r, err := a.Deliver(ctx, job(t, "x\n", "c@x.test")); err != nil || r[0].Outcome != Delivered {
		t.Errorf("%+v %v", r, err)
	}
}
