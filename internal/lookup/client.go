package lookup

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long an answer may take altogether: both look-ups run at the
// same time, but they may have had to wait for others.
const patience = 2*Timeout + time.Second

// A Client asks a child. It may be used by several goroutines.
type Client struct {
	conn *os.File

	mu      sync.Mutex
	last    uint64
	waiting map[uint64]chan Answer
	dead    error
}

// Start starts the child: program with args, as uid and gid when we are root. It
// ends when the client's process does.
func Start(program string, args []string, uid, gid int) (*Client, error) {
	syscall.ForkLock.RLock()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err == nil {
		unix.CloseOnExec(fds[0])
		unix.CloseOnExec(fds[1])
	}
	syscall.ForkLock.RUnlock()
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, errors.Join(err, unix.Close(fds[0]), unix.Close(fds[1]))
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "lookup"), os.NewFile(uintptr(fds[1]), "lookup")
	cmd := exec.Command(program, args...)
	cmd.Dir = "/"
	cmd.Env = []string{}
	cmd.Stdin = theirs
	if os.Geteuid() == 0 {
		cmd.SysProcAttr = &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}},
		}
	}
	if err = errors.Join(cmd.Start(), theirs.Close()); err != nil {
		return nil, errors.Join(fmt.Errorf("the look-up child: %w", err), ours.Close())
	}
	_ = cmd.Process.Release() // wait is no call of a jail; init waits for it
	return NewClient(ours), nil
}

// NewClient returns a client of the child at the other end of conn.
func NewClient(conn *os.File) *Client {
	c := &Client{conn: conn, waiting: make(map[uint64]chan Answer)}
	go c.receive()
	return c
}

// Fd is the descriptor that a jail must leave open.
func (c *Client) Fd() int { return int(c.conn.Fd()) }

// Ask returns what the child found out. After an error, which means that the
// child is gone or broken, the answer is empty and so are all further ones.
func (c *Client) Ask(q Question) (Answer, error) {
	answer := make(chan Answer, 1)
	c.mu.Lock()
	if c.dead != nil {
		c.mu.Unlock()
		return Answer{}, c.dead
	}
	c.last++
	id := c.last
	c.waiting[id] = answer
	_ = c.conn.SetWriteDeadline(time.Now().Add(patience))
	_, err := c.conn.Write(q.encode(id))
	c.mu.Unlock()
	if err != nil {
		c.end(err)
		return Answer{}, err
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case a, ok := <-answer:
		if !ok {
			return Answer{}, c.dead
		}
		return a, nil
	case <-late.C:
		c.mu.Lock()
		delete(c.waiting, id)
		c.mu.Unlock()
		return Answer{}, nil
	}
}

// receive hands the answers out.
func (c *Client) receive() {
	var frame [answerSize]byte
	for {
		if _, err := io.ReadFull(c.conn, frame[:]); err != nil {
			c.end(fmt.Errorf("the look-up child is gone: %w", err))
			return
		}
		id, a, err := decodeAnswer(&frame)
		if err != nil {
			c.end(fmt.Errorf("the look-up child: %w", err))
			return
		}
		c.mu.Lock()
		if answer := c.waiting[id]; answer != nil {
			answer <- a // it has room for one
			delete(c.waiting, id)
		}
		c.mu.Unlock()
	}
}

// end gives up on the child.
func (c *Client) end(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dead == nil {
		c.dead = err
	}
	for id, answer := range c.waiting {
		close(answer)
		delete(c.waiting, id)
	}
}
