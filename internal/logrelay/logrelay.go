// Package logrelay keeps the log of a process that cannot keep it itself.
//
// In a chroot nobody finds a syslog daemon that was restarted. So the parent of a
// process that serves for long has the connection, and the child writes its lines
// to the parent.
package logrelay

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"smap/internal/eventlog"
)

// maxDatagram is more than any line.
const maxDatagram = 4096

// Start returns a socket for children. What they write there goes to the log, as
// lines of facility mail, whatever it is.
func Start(log io.Writer) (*os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, errors.Join(err, unix.Close(fds[0]), unix.Close(fds[1]))
	}
	go relay(log, os.NewFile(uintptr(fds[0]), "log"))
	return os.NewFile(uintptr(fds[1]), "log"), nil
}

func relay(log io.Writer, from io.Reader) {
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
		if bytes.HasPrefix(line, eventlog.Priority(level)) {
			return line
		}
	}
	return append(eventlog.Priority(slog.LevelError), line...) // what the runtime says when it dies
}
