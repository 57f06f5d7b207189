//go:build system

package kit

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"
)

// Port is the port that the sink listens on.
func (s *Sink) Port() string {
	_, port, _ := net.SplitHostPort(s.Addr)
	return port
}

// Sink is a server of SMTP or LMTP that accepts everything and keeps it octet for octet.
type Sink struct {
	t    *testing.T
	Addr string
	lmtp bool
	keep func(Sunk) // called before the answer
	// verdict is the reply to one recipient of LMTP, when it is not nil; "" ends the connection.
	Verdict func(m Sunk, rcpt string) string
	mu      sync.Mutex
	got     []Sunk
}

// Sunk is a message as it came: the arguments of MAIL and RCPT, and the content with LF at the ends of its lines.
type Sunk struct {
	Mail, Content string
	Rcpt          []string
}

// NewSink listens on a TCP port of the loopback address.
func NewSink(t *testing.T, lmtp bool) *Sink {
	t.Helper()
	return NewSinkTo(t, lmtp, nil)
}

// NewSinkTo is a sink that keeps nothing itself but gives each message to a function before it answers.
func NewSinkTo(t *testing.T, lmtp bool, keep func(Sunk)) *Sink {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &Sink{t: t, Addr: l.Addr().String(), lmtp: lmtp, keep: keep}
	if keep == nil {
		s.keep = s.store
	}
	var wg sync.WaitGroup
	t.Cleanup(func() { l.Close(); wg.Wait() })
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(c) })
		}
	})
	return s
}

// Messages are those that have come so far.
func (s *Sink) Messages() []Sunk {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]Sunk(nil), s.got...)
}

func (s *Sink) store(m Sunk) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.got = append(s.got, m)
}

func (s *Sink) serve(c net.Conn) {
	defer c.Close()
	patient := func() { c.SetDeadline(time.Now().Add(5 * time.Minute)) } //nolint:errcheck // the reads tell
	in, out := bufio.NewReader(c), bufio.NewWriter(c)
	say := func(lines ...string) {
		for _, line := range lines {
			out.WriteString(line + "\r\n") //nolint:errcheck // Flush tells
		}
		if in.Buffered() == 0 {
			out.Flush() //nolint:errcheck // the next read tells
		}
	}
	var m Sunk
	say("220 sink.test ESMTP")
	for {
		patient() // a client may use one connection for all of a test
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		verb, rest, _ := strings.Cut(strings.TrimRight(line, "\r\n"), " ")
		_, argument, _ := strings.Cut(rest, ":")
		verb = strings.ToUpper(verb)
		switch verb {
		case "EHLO", "LHLO", "HELO":
			say("250-sink.test", "250-PIPELINING", "250-8BITMIME", "250-DSN", "250 SIZE")
		case "MAIL":
			m = Sunk{Mail: strings.TrimSpace(argument)}
			say("250 2.1.0 ok")
		case "RCPT":
			m.Rcpt = append(m.Rcpt, strings.TrimSpace(argument))
			say("250 2.1.5 ok")
		case "DATA":
			say("354 go on")
			out.Flush() //nolint:errcheck // the next read tells
			if m.Content, err = readContent(in); err != nil {
				s.t.Errorf("sink: %v", err)
				return
			}
			s.keep(m)
			for _, rcpt := range m.Rcpt {
				reply := "250 2.0.0 taken"
				if s.Verdict != nil {
					reply = s.Verdict(m, rcpt)
				}
				if reply == "" {
					return
				}
				patient()
				if say(reply); !s.lmtp {
					break
				}
			}
		case "QUIT":
			say("221 bye")
			return
		default:
			say("250 2.0.0 ok")
		}
	}
}

// readContent reads to the final dot. A line end that is not CRLF is an error: nobody may send one.
func readContent(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err == io.EOF {
			return "", io.ErrUnexpectedEOF
		}
		if err != nil {
			return "", err
		}
		text, ok := strings.CutSuffix(line, "\r\n")
		if !ok || strings.ContainsAny(text, "\r\n") {
			return "", fmt.Errorf("a line end that is not CRLF in %q", line)
		}
		if text == "." {
			return b.String(), nil
		}
		b.WriteString(strings.TrimPrefix(text, ".") + "\n")
	}
}

// Exactly wants these marked messages, each once and whole.
func (s *Sink) Exactly(marks []string) {
	s.t.Helper()
	seen := map[string]int{}
	for _, m := range s.Messages() {
		mark, _, _ := strings.Cut(strings.TrimPrefix(m.Mail, "<"), "@")
		if _, content := Marked(mark); m.Content != content {
			s.t.Errorf("%s came with %q", mark, m.Content)
		}
		seen[mark]++
	}
	wrong := 0
	for _, mark := range marks {
		if seen[mark] != 1 {
			wrong++
		}
	}
	if wrong > 0 || len(seen) != len(marks) {
		s.t.Errorf("%d of %d messages did not come exactly once; %d different ones came", wrong, len(marks), len(seen))
	}
}
