package agent

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// A strictServer is an SMTP or LMTP server that takes down every octet and
// complains of each that a line must not hold.
type strictServer struct {
	t        *testing.T
	mu       sync.Mutex
	commands []string
	contents []string
}

func (s *strictServer) serve(conn net.Conn, lmtp bool) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	say := func(line string) { fmt.Fprintf(conn, "%s\r\n", line) }
	say("220 strict.test")
	rcpts := 0
	for {
		line, err := s.line(r)
		if err != nil {
			return
		}
		s.mu.Lock()
		s.commands = append(s.commands, line)
		s.mu.Unlock()
		switch verb, _, _ := strings.Cut(line, " "); verb {
		case "EHLO", "LHLO":
			say("250-strict.test")
			say("250-PIPELINING")
			say("250 8BITMIME")
		case "DATA":
			say("354 go")
			content, ok := s.content(r)
			if !ok {
				return
			}
			s.mu.Lock()
			s.contents = append(s.contents, content)
			s.mu.Unlock()
			n := 1
			if lmtp {
				n = rcpts
			}
			for range n {
				say("250 taken")
			}
			rcpts = 0
		case "RCPT":
			rcpts++
			say("250 ok")
		case "QUIT":
			say("221 bye")
			return
		case "MAIL", "RSET":
			rcpts = 0
			say("250 ok")
		default:
			s.t.Errorf("a command that nobody meant to send: %q", line)
			return
		}
	}
}

// line reads up to CRLF, in which alone CR and LF may stand.
func (s *strictServer) line(r *bufio.Reader) (string, error) {
	line, err := r.ReadBytes('\n')
	if err != nil {
		return "", err
	}
	body, ok := bytes.CutSuffix(line, []byte("\r\n"))
	if !ok || bytes.ContainsAny(body, "\r\n\x00") {
		s.t.Errorf("a bare CR or LF, or a NUL, in %.80q", line)
	}
	return string(body), nil
}

// content reads up to the dot, with LF line ends.
func (s *strictServer) content(r *bufio.Reader) (string, bool) {
	var b strings.Builder
	for {
		line, err := s.line(r)
		switch {
		case err != nil:
			return "", false // broken off: no message
		case line == ".":
			return b.String(), true
		}
		b.WriteString(strings.TrimPrefix(line, ".") + "\n")
	}
}

// TestNothingSmuggled drops every content that tries to end early or to start
// another message, and every sender and recipient that tries to be a command.
// What arrives is one message for each that may leave at all, octet for octet.
func TestNothingSmuggled(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 3<<20)
	good := []string{
		"", ".", ".\n", "..\n", ".\n.\n.\n", "a\n.\nMAIL FROM:<evil@x.test>\nRCPT TO:<evil@x.test>\nDATA\nx\n.\n",
		"QUIT\n", "no end", "\n", "\n\n\n.", long, ".\n" + long + "\n.\nQUIT\n", strings.Repeat(".\n", 40_000),
		"8-bit \xff\xfe\x80\n", "\u0085\u2028next\n", "\v\f.\v\n",
	}
	bad := []string{"a\r\n.\r\nMAIL FROM:<evil@x.test>\r\n", "a\r.\r\n", "\r", "a\n.\r\n", "a\r\n", long + "\r", "a\n\r.\n\rQUIT\n"}
	for _, lmtp := range []bool{false, true} {
		t.Run(fmt.Sprintf("lmtp %v", lmtp), func(t *testing.T) {
			s := &strictServer{t: t}
			l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var sessions sync.WaitGroup
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					sessions.Go(func() { s.serve(conn, lmtp) })
				}
			}()
			a, err := NewSMTP(l.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			a.LMTP = lmtp
			want := map[string]int{}
			for _, c := range good {
				r, err := a.Deliver(t.Context(), job(t, c, "b@x.test", `"a b>\" x"@x.test`))
				if err != nil || r[0].Outcome != Delivered || r[1].Outcome != Delivered {
					t.Errorf("%.40q: %+v %v", c, r, err)
				}
				if c != "" && !strings.HasSuffix(c, "\n") {
					c += "\n"
				}
				want[c]++
			}
			for _, c := range bad {
				if r, err := a.Deliver(t.Context(), job(t, c, "b@x.test")); err != nil || r[0].Outcome != Failed {
					t.Errorf("%.40q: %+v %v", c, r, err)
				}
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
			sessions.Wait()
			for _, c := range s.contents {
				want[c]--
			}
			for c, n := range want {
				if n != 0 {
					t.Errorf("%d times missing or too often: %.40q", n, c)
				}
			}
			for _, c := range s.commands {
				if strings.Contains(c, "evil") {
					t.Errorf("smuggled: %q", c)
				}
			}
		})
	}
}

// TestChangedWhileSent: a content that grows a CR or loses octets under our hands
// never reaches its final dot.
func TestChangedWhileSent(t *testing.T) {
	for _, content := range []string{"line\n.\r\nevil\n", "short\n"} {
		s := &strictServer{t: t}
		ours, theirs := net.Pipe()
		done := make(chan struct{})
		go func() { s.serve(theirs, false); close(done) }()
		agent, err := NewSMTP("/unused")
		if err != nil {
			t.Fatal(err)
		}
		c := &smtpConn{opt: agent}
		c.use(ours)
		if err := ours.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if err := c.greeted(); err != nil {
			t.Fatal(err)
		}
		j := job(t, content, "b@x.test")
		j.Size = 100 // what the envelope says
		r, err := c.transact(j)
		if err == nil || r[0].Outcome == Delivered {
			t.Errorf("%q: %+v %v", content, r, err)
		}
		ours.Close()
		<-done
		if len(s.contents) != 0 {
			t.Errorf("arrived: %q", s.contents)
		}
	}
}
