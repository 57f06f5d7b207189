package courier

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emersion/go-smtp"

	"smap/spoolfmt"
)

// A sink is a server of another library that remembers what it took.
type sink struct {
	mu       sync.Mutex
	mails    []sunk
	sessions int
}

type sunk struct {
	from string
	opts *smtp.MailOptions
	to   []string
	rcpt []*smtp.RcptOptions
	body string
}

type sinkSession struct {
	s   *sink
	now sunk
}

func (s *sink) NewSession(*smtp.Conn) (smtp.Session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.sessions++
	return &sinkSession{s: s}, nil
}

func (s *sinkSession) Reset()        { s.now = sunk{} }
func (s *sinkSession) Logout() error { return nil }
func (s *sinkSession) Mail(from string, o *smtp.MailOptions) error {
	if strings.HasPrefix(from, "refused") {
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 7, 1}, Message: "not you"}
	}
	s.now = sunk{from: from, opts: o}
	return nil
}

func (s *sinkSession) Rcpt(to string, o *smtp.RcptOptions) error {
	switch {
	case strings.HasPrefix(to, "unknown"):
		return &smtp.SMTPError{Code: 550, EnhancedCode: smtp.EnhancedCode{5, 1, 1}, Message: "no such user"}
	case strings.HasPrefix(to, "busy"):
		return &smtp.SMTPError{Code: 450, EnhancedCode: smtp.EnhancedCode{4, 2, 1}, Message: "later"}
	}
	s.now.to = append(s.now.to, to)
	s.now.rcpt = append(s.now.rcpt, o)
	return nil
}

func (s *sinkSession) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	s.now.body = string(b)
	s.s.mu.Lock()
	defer s.s.mu.Unlock()
	s.s.mails = append(s.s.mails, s.now)
	return nil
}

func (s *sinkSession) LMTPData(r io.Reader, status smtp.StatusCollector) error {
	if err := s.Data(r); err != nil {
		return err
	}
	for _, to := range s.now.to {
		var err error
		if strings.HasPrefix(to, "full") {
			err = &smtp.SMTPError{Code: 452, EnhancedCode: smtp.EnhancedCode{4, 2, 2}, Message: "mailbox full"}
		}
		status.SetStatus(to, err)
	}
	return nil
}

// serve runs a sink on a unix socket.
func serve(t *testing.T, lmtp bool) (*sink, *Remote) {
	t.Helper()
	s := &sink{}
	srv := smtp.NewServer(s)
	srv.LMTP, srv.Domain, srv.EnableDSN, srv.EnableSMTPUTF8 = lmtp, "sink.test", true, true
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	make := NewSMTP
	if lmtp {
		make = NewLMTP
	}
	a, err := make("unix:" + path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return s, a
}

func TestLMTPVerdicts(t *testing.T) {
	s, a := serve(t, true)
	j := job(t, "Subject: x\n\n.\n..\nend", "good@x.test", "unknown@x.test", "full@x.test", "busy@x.test")
	for round := 1; round <= 3; round++ {
		r, err := a.Deliver(t.Context(), j)
		if err != nil {
			t.Fatal(err)
		}
		want := []Outcome{Delivered, Failed, Retry, Retry}
		for i := range want {
			if r[i].Outcome != want[i] {
				t.Errorf("round %d, %s: %+v", round, j.Recipients[i].Address, r[i])
			}
		}
		if r[1].Status != "5.1.1" || !strings.Contains(r[1].Text, "no such user") || r[1].Remote != "sink.test" {
			t.Errorf("%+v", r[1])
		}
	}
	if s.sessions != 1 || len(s.mails) != 3 {
		t.Errorf("%d sessions, %d mails", s.sessions, len(s.mails))
	}
	if got := s.mails[0].body; got != "Subject: x\r\n\r\n.\r\n..\r\nend\r\n" {
		t.Errorf("body %q", got)
	}
}

func TestSMTPParameters(t *testing.T) {
	s, a := serve(t, false)
	j := job(t, "x\n", "b@x.test")
	j.Sender.Params = []spoolfmt.Param{{Keyword: "RET", Value: "HDRS", HasValue: true}, {Keyword: "ENVID", Value: "a+2Bb", HasValue: true}}
	j.Recipients[0].Params = []spoolfmt.Param{{Keyword: "NOTIFY", Value: "SUCCESS,DELAY", HasValue: true}, {Keyword: "ORCPT", Value: "rfc822;o@x.test", HasValue: true}}
	r, err := a.Deliver(t.Context(), j)
	if err != nil || r[0].Outcome != Delivered || !r[0].DSN {
		t.Fatalf("%+v %v", r, err)
	}
	m := s.mails[0]
	if m.from != "a@example.com" || m.opts.EnvelopeID != "a+b" || m.opts.Return != "HDRS" || len(m.rcpt[0].Notify) != 2 || m.rcpt[0].OriginalRecipient != "o@x.test" {
		t.Errorf("%+v %+v", m.opts, m.rcpt[0])
	}
	j.Sender = spoolfmt.Path{Address: "refused@x.test"}
	if r, err := a.Deliver(t.Context(), j); err != nil || r[0].Outcome != Failed || r[0].Status != "5.7.1" {
		t.Errorf("%+v %v", r, err)
	}
	// The connection is still good after a refusal.
	j.Sender = spoolfmt.Path{}
	if r, err := a.Deliver(t.Context(), j); err != nil || r[0].Outcome != Delivered || s.mails[1].from != "" {
		t.Errorf("%+v %v", r, err)
	}
	if s.sessions != 1 {
		t.Errorf("%d sessions", s.sessions)
	}
}

func TestSMTPUnreachable(t *testing.T) {
	a, err := NewSMTP("unix:/nonexistent/socket")
	if err != nil {
		t.Fatal(err)
	}
	var start *StartError
	if _, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); !errors.As(err, &start) {
		t.Errorf("got %v", err)
	}
	for _, bad := range []string{"", "unix:x", "a b", ":25"} {
		if _, err := NewSMTP(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

// scripted is a server that says what it is told to, line by line: "C: " is
// what it expects, "S: " what it says, "WAIT" to say no more.
func scripted(t *testing.T, sessions ...string) *Remote {
	t.Helper()
	path := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for n, script := range sessions {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			r := bufio.NewReader(conn)
			for line := range strings.Lines(strings.TrimSpace(script)) {
				line = strings.TrimSpace(line)
				switch {
				case line == "WAIT":
					_, _ = io.Copy(io.Discard, r)
				case strings.HasPrefix(line, "S: "):
					fmt.Fprintf(conn, "%s\r\n", line[3:])
				case strings.HasPrefix(line, "C: "):
					got, err := r.ReadString('\n')
					if err != nil || !strings.HasPrefix(got, line[3:]) {
						t.Errorf("session %d: got %q (%v), want %q", n, got, err, line[3:])
						conn.Close()
						return
					}
				}
			}
			conn.Close()
		}
	}()
	a, err := NewSMTP(path)
	if err != nil {
		t.Fatal(err)
	}
	a.Helo = "me.test"
	t.Cleanup(func() { a.Close(); l.Close(); <-done })
	return a
}

func TestSMTPKeptConnectionGone(t *testing.T) {
	const hello = "S: 220 sink.test\nC: EHLO me.test\nS: 250-sink.test\nS: 250 8BITMIME\nC: MAIL FROM:<a@example.com> BODY=8BITMIME\nS: 250 ok\nC: RCPT TO:<b@x.test>\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 taken\n"
	a := scripted(t, hello, "S: 421 sink.test too busy\n", hello)
	j := job(t, "x\n", "b@x.test")
	if r, err := a.Deliver(t.Context(), j); err != nil || r[0].Outcome != Delivered {
		t.Fatalf("%+v %v", r, err)
	}
	// The first one was closed; the second says 421; that is not the message's
	// fault.
	var start *StartError
	if r, err := a.Deliver(t.Context(), j); !errors.As(err, &start) {
		t.Fatalf("%+v %v", r, err)
	}
	if r, err := a.Deliver(t.Context(), j); err != nil || r[0].Outcome != Delivered {
		t.Fatalf("%+v %v", r, err)
	}
}

// TestSMTPLostAtTheEnd: whether the server has taken it is unknown, so it is
// tried again.
func TestSMTPLostAtTheEnd(t *testing.T) {
	a := scripted(t, "S: 220 sink.test\nC: EHLO me.test\nS: 250 sink.test\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: RCPT\nS: 550 5.1.1 no\nC: DATA\nS: 354 go\nC: x\nC: .\n")
	r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test", "c@x.test"))
	if err != nil || r[0].Outcome != Retry || r[1].Outcome != Failed {
		t.Errorf("%+v %v", r, err)
	}
}

func TestSMTPPipelinedRefusal(t *testing.T) {
	const hello = "S: 220 sink.test\nC: EHLO me.test\nS: 250-sink.test\nS: 250 PIPELINING\nC: MAIL\nC: RCPT\nC: RCPT\nC: DATA\nS: 250 ok\nS: 550 5.1.1 no\nS: 450 4.2.1 later\n"
	for _, end := range []string{"S: 354 go\nC: .\nS: 554 nobody\n", "S: 503 nobody\n"} {
		a := scripted(t, hello+end)
		r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test", "c@x.test"))
		if err != nil || r[0].Outcome != Failed || r[1].Outcome != Retry || !strings.Contains(r[1].Text, "later") {
			t.Errorf("%+v %v", r, err)
		}
	}
}

func TestSMTPBadServers(t *testing.T) {
	for _, script := range []string{
		"", "S: hello\n", "S: 220-a\nS: 221 b\n", "S: 220 " + strings.Repeat("x", 5000) + "\n",
		"S: 554 no mail here\n", "S: 220 a\nC: EHLO\nS: 550 no\nC: HELO\nS: 550 no\n",
		"S: 220-" + strings.Repeat("S: 220-a\n", 200),
	} {
		a := scripted(t, script)
		var start *StartError
		if r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); !errors.As(err, &start) {
			t.Errorf("%.40q: %+v %v", script, r, err)
		}
	}
}

func TestSMTPXClient(t *testing.T) {
	a := scripted(t, `
		S: 220 sink.test
		C: EHLO me.test
		S: 250-sink.test
		S: 250 XCLIENT NAME ADDR PROTO HELO
		C: XCLIENT NAME=[UNAVAILABLE] ADDR=IPV6:2001:db8::1 PROTO=ESMTP HELO=a+2Bb
		S: 220 sink.test
		C: EHLO me.test
		S: 250 sink.test
		C: MAIL
		S: 250 ok
		C: RCPT
		S: 250 ok
		C: DATA
		S: 354 go
		C: x
		C: .
		S: 250 taken`)
	a.XClient = true
	j := job(t, "x\n", "b@x.test")
	for name, v := range map[string]string{"Client-Address": "2001:db8::1", "Helo": "a+b", "Protocol": "ESMTPS"} {
		if err := j.Envelope.Set(name, v); err != nil {
			t.Fatal(err)
		}
	}
	if r, err := a.Deliver(t.Context(), j); err != nil || r[0].Outcome != Delivered {
		t.Fatalf("%+v %v", r, err)
	}
}

func TestSMTPStops(t *testing.T) {
	a := scripted(t, "S: 220 sink.test\nC: EHLO me.test\nS: 250 sink.test\nC: MAIL\nWAIT\n")
	ctx, cancel := context.WithTimeoutCause(t.Context(), 200*time.Millisecond, errTimeout)
	defer cancel()
	begin := time.Now()
	r, err := a.Deliver(ctx, job(t, "x\n", "b@x.test"))
	if err != nil || r[0].Outcome != Retry || !strings.Contains(r[0].Text, errTimeout.Error()) {
		t.Errorf("%+v %v", r, err)
	}
	if time.Since(begin) > 2*time.Second {
		t.Error("took too long")
	}
}

// TestWriteData compares with a naive implementation, at every buffer border.
func TestWriteData(t *testing.T) {
	naive := func(s string) string {
		if s == "" {
			return ""
		}
		var b strings.Builder
		for line := range strings.Lines(s) {
			line = strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(line, ".") {
				b.WriteByte('.')
			}
			b.WriteString(line + "\r\n")
		}
		return b.String()
	}
	for _, in := range []string{"", "\n", ".", ".\n", "..\n", "a\n.\nb", "\n.\n\n..x\n", strings.Repeat("x", 40000) + "\n.\n", "no end"} {
		for _, r := range []io.Reader{strings.NewReader(in), slow{strings.NewReader(in)}} {
			var out bytes.Buffer
			w := bufio.NewWriter(&out)
			err := errors.Join(writeData(w, r, int64(len(in))), w.Flush())
			if err != nil || out.String() != naive(in) {
				t.Errorf("%.20q: %v, %.40q", in, err, out.String())
			}
		}
	}
	for _, in := range []string{"\r", "a\r\n.\r\nMAIL", "x\r.\n", strings.Repeat("x", 40000) + "\r"} {
		var out bytes.Buffer
		w := bufio.NewWriter(&out)
		if err := writeData(w, strings.NewReader(in), int64(len(in))); !errors.Is(err, errBareCR) {
			t.Errorf("%.20q: %v", in, err)
		}
		_ = w.Flush()
		if bytes.Contains(out.Bytes(), []byte("\r\n.\r\n")) || bytes.ContainsRune(out.Bytes(), '\r') {
			t.Errorf("%.20q: left us as %.40q", in, out.String())
		}
	}
	if err := writeData(bufio.NewWriter(io.Discard), strings.NewReader("x"), 2); err == nil {
		t.Error("a short content is accepted")
	}
}

// slow gives one octet at a time.
type slow struct{ r io.Reader }

func (s slow) Read(p []byte) (int, error) { return s.r.Read(p[:min(1, len(p))]) }

func TestCommandInjection(t *testing.T) {
	var out bytes.Buffer
	c := &smtpConn{w: bufio.NewWriter(&out)}
	for _, line := range []string{"a\r\nb", "a\nb", "a\rb", "a\x00b"} {
		if c.send(line) == nil {
			t.Errorf("%q is sent", line)
		}
	}
}
