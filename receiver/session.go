package receiver

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"smap/spoolfmt/envelope"
)

// maxIdle is how many commands a client may send that bring no message nearer,
// or try in vain to; an accepted message sets the count back.
const maxIdle = 100

// maxRefused is how many recipients of a message may be refused; maxExcess is how
// many may come beyond maxrecip. A client with a long list says them all before it
// sends the message to those that were accepted. maxUnused is how many recipients
// may be accepted that no message follows; an accepted message sets the count back.
const (
	maxRefused = 100
	maxExcess  = 10_000
	maxUnused  = 1000
)

// freeGuesses is how many recipients of a session are refused at once; each one
// after these takes guessPause.
const (
	freeGuesses = 10
	guessPause  = 10 * time.Millisecond
)

// maxTimeouts is how often its timeout a client may take for the commands of one
// message, an hour by default. A client that always says something in
// time would otherwise hold a session for days.
const maxTimeouts = 12

// A session is the state of one connection.
type session struct {
	Config
	client Client
	conn   Conn
	in     input
	out    []byte
	unsent error    // why a reply did not go out
	loose  *lenient // between conn and in, for a lenient host
	log    *slog.Logger

	phase      Phase
	esmtp      bool
	heloName   string
	tls        *TLS
	sender     envelope.Path
	utf8       bool  // MAIL had SMTPUTF8
	declared   int64 // the size that MAIL declared
	recipients []envelope.Path
	listed     int64    // octets that the recipients take in an envelope
	content    *content // on its way
	pace       *pace    // of the content; nil between messages

	faults, idle, unused int
	refused              int // recipients and messages
	guesses              int // those that policy refused
	refusedNow, excess   int // those of the present message
	messages             int
	octets               int64
	since                time.Time // the beginning, or the last message

	over        bool                               // the client has said its last
	credentials bool                               // the last known command was AUTH
	known       func(address string) (bool, error) // of this session; see Config.Known

	mu       sync.Mutex
	stopping bool // the server ends
	busy     bool // content is on its way, which may be finished
}

func newSession(c Config, client Client, conn Conn) *session {
	s := &session{Config: c, client: client, conn: conn, phase: Connected, since: time.Now()}
	if s.Reserved == nil {
		s.Reserved = new(atomic.Int64)
	}
	if s.Now == nil {
		s.Now = time.Now
	}
	s.in = input{conn: conn, begin: s.await, flush: s.flush, waited: s.waited, buf: make([]byte, readBuffer)}
	if client.Lenient {
		s.loose = &lenient{Conn: conn}
		s.in.conn = s.loose
	}
	s.log = c.Log.With("client", client.address())
	return s
}

// Serve speaks SMTP with one client until either ends it. When ctx is done a
// session that is between messages ends at once, with 421; one that receives a
// message may finish that message. It does not close the connection, and tells
// whether the client may still be sending: closing it then would throw away
// replies that are on their way.
func Serve(ctx context.Context, c Config, client Client, conn Conn) (more bool) {
	s := newSession(c, client, conn)
	defer s.reset() // also of a session that panics: its message has files open
	stop := context.AfterFunc(ctx, s.stop)
	defer stop()
	start := s.Now()
	s.log.Info(eventConnect, "name", orUnknown(client.Name), "ident", client.Ident)
	why := s.run()
	if secure, ok := s.conn.(interface{ CloseWrite() error }); ok {
		_ = secure.CloseWrite() // TLS has an end of its own; the client may be gone
	}
	s.reset()
	s.log.Info(eventExit, "why", why, "messages", s.messages, "octets", s.octets,
		"refused", s.refused, "faults", s.faults, "seconds", seconds(s.Now().Sub(start)))
	return !s.over
}

// seconds is a time to a millisecond. Duration.Seconds would add a fraction to whole
// seconds, and so has digits that nobody meant: 2.5060000000000002.
func seconds(d time.Duration) float64 {
	return float64(d.Round(time.Millisecond).Milliseconds()) / 1000
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

// await sets the time by which a command line, or more of a message, has to be
// here. When the server ends, only a message may still come.
func (s *session) await() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.busy = s.content != nil
	if s.stopping && !s.busy {
		return os.ErrDeadlineExceeded
	}
	if s.pace != nil && s.pace.over() {
		return errSlow
	}
	_ = s.conn.SetReadDeadline(s.deadline())
	return nil
}

// deadline is the end of the next wait for the client; zero is never.
func (s *session) deadline() time.Time {
	var until time.Time
	now := time.Now()
	if s.Timeout > 0 {
		until = now.Add(s.Timeout)
		if last := s.since.Add(maxTimeouts * s.Timeout); !s.busy && until.After(last) {
			until = last
		}
	}
	if s.pace != nil {
		if d, ok := s.pace.patience(); ok && (until.IsZero() || now.Add(d).Before(until)) {
			until = now.Add(d)
		}
	}
	if s.content != nil && s.content.skip != nil {
		if last := now.Add(s.content.skip.patience()); until.IsZero() || last.Before(until) {
			until = last
		}
	}
	return until
}

// waited counts a wait for the client.
func (s *session) waited(d time.Duration, octets int) {
	if s.pace != nil {
		s.pace.waited(d, octets)
	}
}

// run is the session; it returns why it ended.
func (s *session) run() string {
	if s.GreetDelay > 0 && s.client.Addr.IsValid() {
		if why := s.waitToGreet(); why != "" {
			return why
		}
	}
	s.say(replyReady(s.Hostname))
	for {
		line, err := s.in.line()
		command, reply := string(line), replyLongLine
		switch {
		case err == nil:
			reply = s.execute(command)
		case !errors.Is(err, errLongLine):
			return s.ended(err)
		}
		if reply.fault {
			s.faults++
			if s.MaxErrors > 0 && s.faults > s.MaxErrors {
				reply = s.enough("errors")
			}
		}
		if reply.Code >= 400 {
			s.log.Info(eventRefused, "command", s.loggable(command), "reply", fmt.Sprint(reply.Code, " ", reply.Enhanced, " ", reply.Text), "rule", reply.rule)
		}
		s.say(reply)
		if reply.Close {
			return fmt.Sprint(reply.Code)
		}
		if s.unsent != nil {
			return s.ended(s.unsent)
		}
	}
}

// waitToGreet has the client wait for the greeting, and returns why the session
// ends if it does not.
func (s *session) waitToGreet() string {
	_ = s.conn.SetReadDeadline(time.Now().Add(s.GreetDelay))
	err := s.in.fill()
	s.mu.Lock()
	stopping := s.stopping
	s.mu.Unlock()
	switch {
	case err == nil:
		s.alarm(eventEarlyInput)
		s.say(replyEarly)
		return "early talker"
	case !errors.Is(err, os.ErrDeadlineExceeded) || stopping:
		return s.ended(err)
	}
	return ""
}

// ended says a last word, where one is due, when reading fails.
func (s *session) ended(err error) string {
	switch {
	case errors.Is(err, errBareLine):
		s.alarm(eventBareLine)
		s.say(replyBareLine)
		return "bare line end"
	case errors.Is(err, errNoEnd):
		s.alarm(eventLineWithoutEnd)
		s.say(replyLongLine.closing())
		return "line without end"
	case errors.Is(err, os.ErrDeadlineExceeded):
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.stopping {
			s.say(replyStopping(s.Hostname))
			return "shutdown"
		}
		if s.pace != nil && s.pace.over() {
			s.say(replyTooSlow(s.Hostname))
			return "too slow"
		}
		s.say(replyTimeout(s.Hostname))
		return "timeout"
	case errors.Is(err, errSlow):
		s.say(replyTooSlow(s.Hostname))
		return "too slow"
	}
	s.over = true
	return "vanished"
}

// enough ends a session that goes beyond a limit.
func (s *session) enough(what string) Reply { return replyEnough(s.Hostname, what) }

// say adds a reply to those that go out when the client's input is used up
// (RFC 2920), or at once when they are many or the last.
func (s *session) say(r Reply) {
	s.out = r.append(s.out, s.esmtp)
	if r.Close || len(s.out) >= readBuffer {
		_ = s.flush() // where the client is gone, the next read says so
	}
}

// flush sends the replies that wait. After a failure, when nobody knows how much
// was sent, it sends nothing more: the client would take a reply for another.
func (s *session) flush() error {
	if len(s.out) == 0 || s.unsent != nil {
		return s.unsent
	}
	if s.Timeout > 0 {
		_ = s.conn.SetWriteDeadline(time.Now().Add(s.Timeout))
	}
	_, s.unsent = s.conn.Write(s.out)
	s.out = s.out[:0]
	return s.unsent
}

// reset forgets the transaction.
func (s *session) reset() {
	if s.content != nil {
		s.content.abort()
		s.content = nil
	}
	s.pace = nil
	s.unused += len(s.recipients)
	s.refusedNow, s.excess = 0, 0
	s.sender, s.recipients, s.listed, s.utf8, s.declared = envelope.Path{}, nil, 0, false, 0
	if s.phase != Connected {
		s.phase = Greeted
	}
}

// accepted counts a message; with it the count of idle commands begins anew.
func (s *session) accepted(size int64) {
	s.messages++
	s.octets += size
	s.idle, s.unused, s.since = 0, -len(s.recipients), time.Now() // reset adds these
}

// alarm logs what looks like an attack.
func (s *session) alarm(event string, args ...any) { s.log.Warn(event, args...) }

// trouble logs a system call that failed.
func (s *session) trouble(event string, err error) { s.log.Error(event, "error", err) }
