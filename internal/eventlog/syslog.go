package eventlog

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// facilityMail is LOG_MAIL of syslog(3).
const facilityMail = 2 << 3

// sendTimeout bounds how long a stuck syslog daemon holds mail up.
const sendTimeout = time.Second

// A syslog is a connection to the local syslog daemon. It stays open without
// a name that would have to be found again in a chroot.
type syslog struct {
	path string // "": it cannot be made again
	tag  string

	mu     sync.Mutex
	fd     int  // -1: no daemon has answered yet
	stream bool // lines end in NUL
	stuck  bool // the last line waited in vain
	lost   int  // lines since the last that went out
	tried  time.Time
}

// socketPaths are where syslog daemons listen: Linux and the BSDs, and darwin.
func socketPaths() []string { return []string{"/dev/log", "/var/run/log", "/var/run/syslog"} }

func dialSyslog(program string) (*syslog, error) {
	var first error
	for _, path := range socketPaths() {
		s := &syslog{path: path, tag: tag(program), fd: -1}
		err := s.dial()
		if err == nil {
			return s, nil
		}
		if first == nil {
			first = err
		}
	}
	return nil, fmt.Errorf("no syslog daemon answers; start one, or log to standard error and stay in the foreground: %w", first)
}

// OpenLater returns a logger to a syslog daemon that does not answer yet. Lines are
// lost until it does.
func OpenLater(program string) (*slog.Logger, io.Closer) {
	s := &syslog{path: socketPaths()[0], tag: tag(program), fd: -1}
	return slog.New(&handler{out: s, mu: new(sync.Mutex)}), s
}

// tag is how a line names its program and process.
func tag(program string) string { return program + "[" + strconv.Itoa(os.Getpid()) + "]: " }

// dial connects by datagrams, or else by a stream, as syslog(3) does.
func (s *syslog) dial() error {
	err := s.dialKind(unix.SOCK_DGRAM)
	if errors.Is(err, unix.EPROTOTYPE) {
		err = s.dialKind(unix.SOCK_STREAM)
	}
	return err
}

func (s *syslog) dialKind(kind int) error {
	fd, err := unix.Socket(unix.AF_UNIX, kind, 0)
	if err != nil {
		return fmt.Errorf("%s: %w", s.path, err)
	}
	unix.CloseOnExec(fd)
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: s.path}); err != nil {
		_ = unix.Close(fd) // never used
		return fmt.Errorf("%s: %w", s.path, err)
	}
	s.fd, s.stream = fd, kind == unix.SOCK_STREAM
	s.bound()
	return nil
}

// bound keeps a send from waiting for ever.
func (s *syslog) bound() {
	tv := unix.NsecToTimeval(sendTimeout.Nanoseconds())
	_ = unix.SetsockoptTimeval(s.fd, unix.SOL_SOCKET, unix.SO_SNDTIMEO, &tv) // without it a send may wait longer
}

// line sends one line. The daemon adds the time: ours would be in UTC, and the
// others' are not.
func (s *syslog) line(_ time.Time, level slog.Level, text string) error {
	_, err := s.Write(append(priority(level), s.tag+text...))
	return err
}

// Write sends a line that is framed already, if need be to a daemon that was
// restarted.
func (s *syslog) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.send(b)
	if err != nil && !s.stuck && s.redial() == nil {
		err = s.send(b)
	}
	if err != nil {
		s.lost++
		return len(b), err
	}
	if s.lost > 0 {
		said := append(priority(slog.LevelWarn), s.tag+"log lost="+strconv.Itoa(s.lost)...)
		if s.send(said) == nil {
			s.lost = 0
		}
	}
	return len(b), nil
}

// send waits once for a daemon that does not read. Otherwise everybody who logs
// would wait, each for those before: so further lines are lost at once.
func (s *syslog) send(b []byte) error {
	if s.stuck {
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(s.fd), Events: unix.POLLOUT}}, 0)
		if n == 0 && err == nil {
			return unix.EAGAIN
		}
	}
	if s.stream {
		b = append(b[:len(b):len(b)], 0)
	}
	for {
		n, err := unix.Write(s.fd, b)
		s.stuck = err == unix.EAGAIN
		if err == nil && s.stream && n < len(b) { // the rest of this line, or the daemon loses count
			b = b[n:]
			continue
		}
		if err != unix.EINTR {
			return err
		}
	}
}

// redial finds a daemon that was restarted.
func (s *syslog) redial() error {
	if s.path == "" || s.fd < 0 && time.Since(s.tried) < redialEvery {
		return unix.ENOTCONN
	}
	old := s.fd
	if err := s.dial(); err != nil {
		s.tried = time.Now()
		return err
	}
	if old < 0 {
		return nil
	}
	return unix.Close(old)
}

// redialEvery is how long a daemon that never answered is left alone.
const redialEvery = time.Second

// priority is what a line for the daemon begins with: facility and severity.
func priority(level slog.Level) []byte {
	return []byte("<" + strconv.Itoa(facilityMail|severity(level)) + ">")
}

// Inherit returns a logger that writes framed lines to a socket which this process
// has as descriptor fd.
func Inherit(fd int, program string) (*slog.Logger, io.Closer, error) {
	unix.CloseOnExec(fd)
	s := &syslog{tag: tag(program), fd: fd}
	s.bound()
	return slog.New(&handler{out: s, mu: new(sync.Mutex)}), s, nil
}

// Keep makes this connection the last one: it is not made again.
func (s *syslog) Keep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.path = ""
}

// Fd returns the connection's descriptor: what is written there reaches the
// log, too.
func (s *syslog) Fd() int { return s.fd }

// Close closes the connection.
func (s *syslog) Close() error {
	if s.fd < 0 {
		return nil
	}
	return unix.Close(s.fd)
}

// severity maps slog's levels to those of syslog(3).
func severity(l slog.Level) int {
	switch {
	case l >= slog.LevelError:
		return 3
	case l >= slog.LevelWarn:
		return 4
	}
	return 6
}
