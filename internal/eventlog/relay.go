package eventlog

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"
)

// maxDatagram is more than any line.
const maxDatagram = 4096

// A Relay keeps the log of children that cannot keep it themselves: in a chroot
// nobody finds a syslog daemon that was restarted. It writes what they say as
// lines of facility mail. Each child has a socket of its own, since an attacker
// who owns a child can end its socket.
type Relay struct {
	log  io.Writer
	last *os.File
}

// NewRelay returns a relay to a log.
func NewRelay(log io.Writer) *Relay { return &Relay{log: log} }

// Next returns a socket for the next child. The one before must have been
// started: its socket is closed here, and stays open there. It is not for several
// goroutines.
func (r *Relay) Next() (*os.File, error) {
	if r.last != nil {
		_ = r.last.Close() // nothing of ours was written there
		r.last = nil
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, relayKind, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, errors.Join(err, unix.Close(fds[0]), unix.Close(fds[1]))
	}
	go relay(r.log, os.NewFile(uintptr(fds[0]), "log"))
	r.last = os.NewFile(uintptr(fds[1]), "log")
	return r.last, nil
}

// relay ends with the child, or with an empty line, which looks the same.
func relay(log io.Writer, from io.ReadCloser) {
	defer from.Close() // only read
	b := make([]byte, maxDatagram)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		_, _ = log.Write(framed(b[:n])) // there is nowhere to complain
	}
}

// framed makes a child's datagram fit for the daemon: one line, of facility mail.
func framed(b []byte) []byte {
	line := bytes.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, b)
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if bytes.HasPrefix(line, priority(level)) {
			return line
		}
	}
	return append(priority(slog.LevelError), line...) // what the runtime says when it dies
}
