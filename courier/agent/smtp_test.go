package agent

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/emersion/go-smtp"

	"smap/spoolfmt/envelope"
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
	j.Sender.Params = []envelope.Param{{Keyword: "RET", Value: "HDRS", HasValue: true}, {Keyword: "ENVID", Value: "a+2Bb", HasValue: true}}
	j.Recipients[0].Params = []envelope.Param{{Keyword: "NOTIFY", Value: "SUCCESS,DELAY", HasValue: true}, {Keyword: "ORCPT", Value: "rfc822;o@x.test", HasValue: true}}
	r, err := a.Deliver(t.Context(), j)
	if err != nil || r[0].Outcome != Delivered || !r[0].DSN {
		t.Fatalf("%+v %v", r, err)
	}
	m := s.mails[0]
	if m.from != "a@example.com" || m.opts.EnvelopeID != "a+b" || m.opts.Return != "HDRS" || len(m.rcpt[0].Notify) != 2 || m.rcpt[0].OriginalRecipient != "o@x.test" {
		t.Errorf("%+v %+v", m.opts, m.rcpt[0])
	}
	j.Sender = envelope.Path{Address: "refused@x.test"}
	if r, err := a.Deliver(t.Context(), j); err != nil || r[0].Outcome != Failed || r[0].Status != "5.7.1" {
		t.Errorf("%+v %v", r, err)
	}
	// The connection is still good after a refusal.
	j.Sender = envelope.Path{}
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

// TestBrokenLMTP: what an LMTP server says before it breaks off is about one
// recipient. The others must not fail with that one.
func TestBrokenLMTP(t *testing.T) {
	t.Parallel()
	for lmtp, want := range map[bool]Outcome{true: Retry, false: Failed} {
		ours, theirs := net.Pipe()
		go func() { _, _ = theirs.Write([]byte("550 mailbox of one is full\r\n")) }() // who does not read gets no verdict
		c := &smtpConn{opt: &Remote{LMTP: lmtp}}
		c.use(ours)
		if r := c.broken(&net.OpError{Op: "write", Err: syscall.EPIPE}); r.Outcome != want || !strings.Contains(r.Text, "550") {
			t.Errorf("LMTP %v: %v %q", lmtp, r.Outcome, r.Text)
		}
		if err := errors.Join(ours.Close(), theirs.Close()); err != nil {
			t.Error(err)
		}
	}
}
