package receiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"smap/spoolfmt"
)

// maxIdle is how many commands a client may send that bring no message nearer;
// an accepted message sets the count back.
const maxIdle = 100

// maxRefused is how many recipients of a session may be refused.
const maxRefused = 100

// A session is the state of one connection.
type session struct {
	Config
	client Client
	conn   Conn
	in     input
	out    []byte
	table  []command
	log    *slog.Logger

	phase      Phase
	esmtp      bool
	heloName   string
	tls        *TLS
	sender     spoolfmt.Path
	utf8       bool // MAIL had SMTPUTF8
	recipients []spoolfmt.Path
	content    *content // of a BDAT that goes on

	faults, refused, idle int
	messages              int
	octets                int64

	mu       sync.Mutex
	stopping bool // the server ends
	busy     bool // content is on its way, which may be finished
}

// Serve speaks SMTP with one client until either ends it. When ctx is done a
// session that is between messages ends at once, with 421; one that receives a
// message may finish that message. It does not close the connection.
func Serve(ctx context.Context, c Config, client Client, conn Conn) {
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &session{Config: c, client: client, conn: conn, table: commands(), phase: Connected}
	s.in = input{conn: conn, deadline: s.awaitLine, buf: make([]byte, readBuffer)}
	s.log = c.Log.With("client", client.address())
	stop := context.AfterFunc(ctx, s.stop)
	defer stop()
	start := c.Now()
	s.log.Info("connect", "name", orUnknown(client.Name), "ident", client.Ident)
	why := s.run()
	if secure, ok := s.conn.(interface{ CloseWrite() error }); ok {
		_ = secure.CloseWrite() // TLS has an end of its own; the client may be gone
	}
	s.reset()
	s.log.Info("exit", "why", why, "messages", s.messages, "octets", s.octets,
		"refused", s.refused, "faults", s.faults, "seconds", c.Now().Sub(start).Round(time.Millisecond).Seconds())
}

func orUnknown(name string) string {
	if name == "" {
		return "unknown"
	}
	return name
}

// stop makes a wait for a command end.
func (s *session) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopping = true
	if !s.busy {
		_ = s.conn.SetReadDeadline(time.Unix(1, 0)) // a connection without deadlines ends by itself
	}
}

// awaitLine sets the time by which a command line has to be here.
func (s *session) awaitLine() { s.setDeadline(false) }

// awaitContent sets the time by which more of a message has to be here.
func (s *session) awaitContent() { s.setDeadline(true) }

func (s *session) setDeadline(busy bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = busy
	until := time.Time{}
	if s.Timeout > 0 {
		until = time.Now().Add(s.Timeout)
	}
	if s.stopping && !busy {
		until = time.Unix(1, 0)
	}
	_ = s.conn.SetReadDeadline(until)
}

// run is the session; it returns why it ended.
func (s *session) run() string {
	if s.client.Early != nil && s.client.Early() {
		s.alarm("input before the greeting")
		s.say(replyEarly)
		return "early talker"
	}
	if err := s.flushAfter(replyFor(220, "", s.Hostname, " SMTP/smap Ready.")); err != nil {
		return "vanished"
	}
	for {
		line, err := s.in.line()
		reply := Reply{}
		switch {
		case err == nil:
			reply = s.execute(string(line))
		case errors.Is(err, errLongLine):
			reply = replyLongLine
		default:
			return s.ended(err)
		}
		if reply.fault {
			s.faults++
			if s.MaxErrors > 0 && s.faults > s.MaxErrors {
				reply = replyFor(421, "4.7.0", s.Hostname, " Too many errors").closing()
			}
		}
		if reply.Code >= 400 {
			s.refuse(line, reply)
		}
		if err := s.say(reply); err != nil {
			return "vanished"
		}
		if reply.Close {
			return fmt.Sprint(reply.Code)
		}
	}
}

// ended says a last word, where one is due, when reading fails.
func (s *session) ended(err error) string {
	switch {
	case errors.Is(err, errBareLine), errors.Is(err, errTooLong):
		s.alarm("line without CR LF")
		s.say(replyBareLine)
		return "bare line end"
	case errors.Is(err, os.ErrDeadlineExceeded):
		if s.stopping {
			s.say(replyFor(421, "4.3.2", s.Hostname, " Shutting down, try again"))
			return "shutdown"
		}
		s.say(replyFor(421, "4.4.2", s.Hostname, " Timeout, closing connection"))
		return "timeout"
	}
	return "vanished"
}

// say sends a reply, together with those before it, unless the client has
// sent more commands already (RFC 2920).
func (s *session) say(r Reply) error {
	if r.Code != 0 { // STARTTLS has been answered before the switch
		s.out = r.append(s.out, s.esmtp)
	}
	if s.in.waiting() && !r.Close && len(s.out) < readBuffer {
		return nil
	}
	return s.flush()
}

// flushAfter sends a reply at once.
func (s *session) flushAfter(r Reply) error {
	s.out = r.append(s.out, s.esmtp)
	return s.flush()
}

func (s *session) flush() error {
	if s.Timeout > 0 {
		_ = s.conn.SetWriteDeadline(time.Now().Add(s.Timeout))
	}
	_, err := s.conn.Write(s.out)
	s.out = s.out[:0]
	return err
}

// reset forgets the transaction.
func (s *session) reset() {
	if s.content != nil {
		s.content.abort()
		s.content = nil
	}
	s.sender, s.recipients, s.utf8 = spoolfmt.Path{}, nil, false
	if s.phase != Connected {
		s.phase = Greeted
	}
}

// refuse logs a reply that is not what the client wants.
func (s *session) refuse(line []byte, r Reply) {
	s.log.Info("refused", "command", string(line[:min(len(line), maxLogged)]), "reply", fmt.Sprint(r.Code, " ", r.Enhanced, " ", r.Text))
}

const maxLogged = 512

// alarm logs what looks like an attack, under the word that administrators of
// the Toolkit look for.
func (s *session) alarm(what string, args ...any) {
	s.log.Warn("securityalert: "+what, args...)
}

// trouble logs a system call that failed.
func (s *session) trouble(what string, err error) {
	s.log.Error("fwtksyserr: "+what, "error", err)
}
