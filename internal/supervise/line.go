package supervise

import (
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// A Line is a child's end of the line to its parent. Reading from it gives what
// [Parent.Tell] wrote, and io.EOF when the parent is gone.
type Line struct{ f *os.File }

// Attach takes the line that a child has inherited as descriptor fd: 3 more than
// the number of ExtraFiles before it.
func Attach(fd int) *Line {
	unix.CloseOnExec(fd) // a child of ours would keep it open after our death
	return &Line{os.NewFile(uintptr(fd), "line")}
}

// Ready says that the child is at work.
func (l *Line) Ready() error {
	_, err := l.f.Write([]byte{'R'})
	return err
}

// Alive says that it still is.
func (l *Line) Alive() error {
	_, err := l.f.Write([]byte{'A'})
	return err
}

// Read reads what the parent says.
func (l *Line) Read(b []byte) (int, error) { return l.f.Read(b) }

// Await returns when the parent is gone. What it says until then is lost.
func (l *Line) Await() { _, _ = io.Copy(io.Discard, l.f) }
