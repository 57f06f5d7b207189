package sockets

import (
	"errors"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A Conn is a connection, or a pair of pipes or a terminal, of a process that
// serves nobody else. It waits with poll(2) and in one thread: the runtime's own
// poller is made for many, and its descriptors, threads and wake-ups cost a
// process that is started for each connection a twentieth of its time. It is not for
// several goroutines.
type Conn struct {
	in, out         int
	readBy, writeBy time.Time
}

// NewConn returns what reads from one descriptor and writes to another, which may
// be the same.
func NewConn(in, out int) *Conn { return &Conn{in: in, out: out} }

// SetReadDeadline sets when reading fails with [os.ErrDeadlineExceeded]; the zero
// time is never.
func (c *Conn) SetReadDeadline(t time.Time) error { c.readBy = t; return nil }

// SetWriteDeadline sets when writing fails. It holds only where the descriptor
// does not block.
func (c *Conn) SetWriteDeadline(t time.Time) error { c.writeBy = t; return nil }

// Read reads what is there, and waits until there is something.
func (c *Conn) Read(p []byte) (int, error) {
	for {
		if err := await(c.in, unix.POLLIN, c.readBy); err != nil {
			return 0, err
		}
		n, err := unix.Read(c.in, p)
		switch {
		case err == unix.EAGAIN || err == unix.EINTR:
			continue // others may read from a terminal as well
		case err != nil:
			return 0, os.NewSyscallError("read", err)
		case n == 0 && len(p) > 0:
			return 0, io.EOF
		}
		return n, nil
	}
}

// Write writes all of p, or says why not.
func (c *Conn) Write(p []byte) (int, error) {
	done := 0
	for done < len(p) {
		n, err := unix.Write(c.out, p[done:])
		switch err {
		case nil:
			done += n
		case unix.EINTR:
		case unix.EAGAIN:
			if err := await(c.out, unix.POLLOUT, c.writeBy); err != nil {
				return done, err
			}
		default:
			return done, os.NewSyscallError("write", err)
		}
	}
	return done, nil
}

// CloseWrite ends our side of a socket.
func (c *Conn) CloseWrite() error {
	return os.NewSyscallError("shutdown", unix.Shutdown(c.out, unix.SHUT_WR))
}

// CloseWrite ends our side of a socket that is a file of package os.
func CloseWrite(f *os.File) error {
	raw, err := f.SyscallConn()
	if err == nil {
		cerr := raw.Control(func(fd uintptr) { err = os.NewSyscallError("shutdown", unix.Shutdown(int(fd), unix.SHUT_WR)) })
		err = errors.Join(err, cerr)
	}
	return err
}

// maxPoll keeps a time-out within what poll takes on every system.
const maxPoll = time.Hour

// await waits until a descriptor is ready, or at its end, which who uses it then
// learns.
func await(fd int, events int16, until time.Time) error {
	for {
		wait := -1
		if !until.IsZero() {
			left := min(time.Until(until), maxPoll)
			if left <= 0 {
				return os.ErrDeadlineExceeded
			}
			wait = int((left + time.Millisecond - 1) / time.Millisecond)
		}
		n, err := unix.Poll([]unix.PollFd{{Fd: int32(fd), Events: events}}, wait)
		switch {
		case n > 0:
			return nil
		case err != nil && err != unix.EINTR && err != unix.EAGAIN:
			return os.NewSyscallError("poll", err)
		}
	}
}
