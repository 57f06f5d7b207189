package agent

import (
	"net"
	"sync"
	"time"
)

// limits are how long a client waits for a server: RFC 5321 4.5.3.2. Each is for one
// step and begins anew with the next, so a slow line never loses a message that
// makes progress.
type limits struct {
	greeting time.Duration
	command  time.Duration // EHLO, MAIL, RCPT and the like
	data     time.Duration // the answer to DATA
	block    time.Duration // each blockSize octets of the content
	final    time.Duration // the answer to the final dot
	open     time.Duration // a bound on everything before MAIL
	call     time.Duration // a bound on a whole delivery, its content apart
}

func standardLimits() limits {
	return limits{greeting: 5 * time.Minute, command: 5 * time.Minute, data: 2 * time.Minute,
		block: 3 * time.Minute, final: 10 * time.Minute, open: 15 * time.Minute, call: time.Hour}
}

const (
	blockSize   = 64 << 10
	writeBuffer = 2 * blockSize // of the kernel
	// leastRate is how many octets of content a second a server has to take in the
	// end: one that takes a block every few minutes is no server but a trap.
	leastRate = 1 << 10
)

// whole is the bound on the delivery of a content.
func (l *limits) whole(size int64) time.Duration {
	return l.call + time.Duration(size/leastRate)*time.Second
}

// A limitedConn is a connection with a limit for the step that it is at and a bound
// for all of them.
type limitedConn struct {
	net.Conn
	block time.Duration

	mu    sync.Mutex
	over  bool // interrupted: no limit counts any more
	bound time.Time
	sent  int // octets since the limit of a block was set
}

// begin sets the bound for what comes.
func (c *limitedConn) begin(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over, c.bound = false, time.Now().Add(d)
}

// limit sets the limit of the next step.
func (c *limitedConn) limit(d time.Duration) {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		return
	}
	at := time.Now().Add(d)
	if !c.bound.IsZero() && at.After(c.bound) {
		at = c.bound
	}
	_ = c.Conn.SetDeadline(at) // it fails only for a connection that is closed, as all else then does
	c.sent = 0
}

// interrupt wakes whatever reads or writes, and ends the connection's use.
func (c *limitedConn) interrupt() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	_ = c.Conn.SetDeadline(time.Unix(1, 0))
}

// Write renews the limit of a block each time that a block was written.
func (c *limitedConn) Write(p []byte) (int, error) {
	n, err := c.Conn.Write(p)
	c.mu.Lock()
	c.sent += n
	renew := c.sent >= blockSize
	c.mu.Unlock()
	if renew {
		c.limit(c.block)
	}
	return n, err
}
