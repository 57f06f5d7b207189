package sockets

import (
	"errors"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A Pair is a connection whose two directions have a descriptor each: a terminal,
// or the two pipes of a program that speaks TLS for us.
type Pair struct{ in, out *os.File }

// NewPair returns what reads from one descriptor and writes to another. Deadlines
// hold for pipes and sockets: a terminal stays as its other users have it.
func NewPair(in, out int) *Pair { return &Pair{openFile(in, "input"), openFile(out, "output")} }

// openFile makes a file of a descriptor, which does not block if it is a pipe or a socket.
func openFile(fd int, name string) *os.File {
	var st unix.Stat_t
	if unix.Fstat(fd, &st) == nil && (st.Mode&unix.S_IFMT == unix.S_IFIFO || st.Mode&unix.S_IFMT == unix.S_IFSOCK) {
		_ = unix.SetNonblock(fd, true) // what blocks all the same only has no deadlines
	}
	return os.NewFile(uintptr(fd), name)
}

// Read reads from the first descriptor.
func (p *Pair) Read(b []byte) (int, error) { return p.in.Read(b) }

// Write writes to the second one.
func (p *Pair) Write(b []byte) (int, error) { return p.out.Write(b) }

// SetReadDeadline sets when reading fails with [os.ErrDeadlineExceeded].
func (p *Pair) SetReadDeadline(t time.Time) error { return p.in.SetReadDeadline(t) }

// SetWriteDeadline sets when writing fails.
func (p *Pair) SetWriteDeadline(t time.Time) error { return p.out.SetWriteDeadline(t) }

// CloseWrite ends our side of a socket.
func CloseWrite(f *os.File) error {
	raw, err := f.SyscallConn()
	if err == nil {
		cerr := raw.Control(func(fd uintptr) { err = os.NewSyscallError("shutdown", unix.Shutdown(int(fd), unix.SHUT_WR)) })
		err = errors.Join(err, cerr)
	}
	return err
}
