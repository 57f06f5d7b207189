// Command demo is the client of make demo, so that the demonstration needs no mail program on the machine:
//
//	demo port                          print a free TCP port of the loopback address
//	demo send ADDRESS FROM TO <FILE    send the message on standard input, showing the dialogue
package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	if err := run(os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}

func run(args []string, in io.Reader, out io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "port":
		return freePort(out)
	case len(args) == 4 && args[0] == "send":
		return send(args[1], args[2], args[3], in, out)
	}
	return errors.New("usage: demo port | demo send ADDRESS FROM TO <MESSAGE")
}

func freePort(out io.Writer) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	defer l.Close()
	_, err = fmt.Fprintln(out, l.Addr().(*net.TCPAddr).Port)
	return err
}

// dial waits for a server that has only just been started.
func dial(address string) (net.Conn, error) {
	var err error
	for range 100 {
		var conn net.Conn
		if conn, err = net.DialTimeout("tcp", address, time.Second); err == nil {
			return conn, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	return nil, err
}

// send plays one SMTP session (RFC 5321) and prints what each side says.
func send(address, from, to string, in io.Reader, out io.Writer) error {
	message, err := io.ReadAll(in)
	if err != nil {
		return err
	}
	conn, err := dial(address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	s := session{conn: conn, in: bufio.NewReader(conn), out: out}
	s.expect("220")
	s.say("HELO client.example", "250")
	s.say("MAIL FROM:<"+from+">", "250")
	s.say("RCPT TO:<"+to+">", "250")
	s.say("DATA", "354")
	for line := range strings.Lines(string(message)) {
		line = strings.TrimRight(line, "\r\n")
		if strings.HasPrefix(line, ".") {
			line = "." + line
		}
		s.write(line)
	}
	s.say(".", "250")
	s.say("QUIT", "221")
	return s.err
}

// session keeps the first error and does nothing more after it.
type session struct {
	conn net.Conn
	in   *bufio.Reader
	out  io.Writer
	err  error
}

func (s *session) write(line string) {
	if s.err != nil {
		return
	}
	fmt.Fprintln(s.out, "  C:", line)
	_, s.err = io.WriteString(s.conn, line+"\r\n")
}

func (s *session) say(line, code string) {
	s.write(line)
	s.expect(code)
}

// expect reads one reply, of one line or several (RFC 5321 section 4.2.1), and wants that code.
func (s *session) expect(code string) {
	for s.err == nil {
		var line string
		if line, s.err = s.in.ReadString('\n'); s.err != nil {
			return
		}
		line = strings.TrimRight(line, "\r\n")
		fmt.Fprintln(s.out, "  S:", line)
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if !strings.HasPrefix(line, code) {
			s.err = fmt.Errorf("wanted %s, got %q", code, line)
		}
		return
	}
}
