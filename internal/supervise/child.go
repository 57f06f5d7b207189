package supervise

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// tellTime bounds how long a child may leave unread what it is told.
const tellTime = 10 * time.Second

// lastWords bounds how long to read what a child said before it ended.
const lastWords = 100 * time.Millisecond

// A child is a process that the parent has started.
type child struct {
	cmd   *exec.Cmd
	line  *os.File
	born  time.Time
	grace *time.Timer // kills it; nil until it was told to end
}

// An event is what a child did: it became ready, said that it still works, or
// ended.
type event struct {
	*child
	ready bool
	alive bool
	ended error
}

// begin starts a child, whose events arrive in order; the last one is its end.
// With listen it is heard after it was ready, too.
func begin(cmd *exec.Cmd, events chan<- event, listen bool) (*child, error) {
	ours, theirs, err := pair()
	if err != nil {
		return nil, err
	}
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	err = cmd.Start()
	if err = errors.Join(err, theirs.Close()); err != nil {
		return nil, errors.Join(err, ours.Close())
	}
	c := &child{cmd: cmd, line: ours, born: time.Now()}
	heard := make(chan struct{})
	go func() {
		defer close(heard)
		var b [16]byte
		n, _ := ours.Read(b[:1])
		if n == 1 {
			events <- event{child: c, ready: true}
		}
		for n > 0 && listen {
			if n, _ = ours.Read(b[:]); n > 0 {
				events <- event{child: c, alive: true}
			}
		}
	}()
	go func() {
		err := cmd.Wait()
		_ = ours.SetReadDeadline(time.Now().Add(lastWords)) // else a child of the child could hold it open
		<-heard
		events <- event{child: c, ended: err}
	}()
	return c, nil
}

// pair makes a line.
func pair() (ours, theirs *os.File, err error) {
	syscall.ForkLock.RLock() // nobody else's child may have it
	defer syscall.ForkLock.RUnlock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	if err := unix.SetNonblock(fds[0], true); err != nil { // deadlines need it
		return nil, nil, errors.Join(err, unix.Close(fds[0]), unix.Close(fds[1]))
	}
	return os.NewFile(uintptr(fds[0]), "line"), os.NewFile(uintptr(fds[1]), "line"), nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// tell lets f write to the child, for a bounded time.
func (c *child) tell(f func(io.Writer) error) error {
	if err := c.line.SetWriteDeadline(time.Now().Add(tellTime)); err != nil {
		return err
	}
	return f(c.line)
}

// signal sends a signal; to a process that is gone already, none.
func (c *child) signal(s os.Signal) { _ = c.cmd.Process.Signal(s) }

func (c *child) kill() { c.signal(unix.SIGKILL) }

// retire asks the child to end, and sees to it after a while.
func (c *child) retire(grace time.Duration) {
	c.signal(unix.SIGTERM)
	if c.grace == nil {
		c.grace = time.AfterFunc(grace, c.kill)
	}
}

// bury frees what the parent had of a child that is gone, and returns how long
// it lived.
func (c *child) bury() time.Duration {
	if c.grace != nil {
		c.grace.Stop()
	}
	_ = c.line.Close() // its other end is gone
	return time.Since(c.born)
}
