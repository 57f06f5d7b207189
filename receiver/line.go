package receiver

import (
	"bytes"
	"errors"
	"io"
	"time"
)

// readBuffer is what a session holds of the client's input at a time. Twice as
// much makes a large message cost a tenth less, and takes 16 MiB with 2,000
// sessions.
const readBuffer = 8 << 10

// maxCommand is the longest command line, with CR LF: RFC 5321 demands 512, and
// MAIL's and RCPT's parameters add to that (RFC 1870, 3461, 6152, 6531).
const maxCommand = 2048

// maxDiscard is how much of an over-long line is read to find its end.
const maxDiscard = 64 << 10

var (
	errBareLine = errors.New("bare CR or LF, or NUL")
	errLongLine = errors.New("line too long")
	errNoEnd    = errors.New("line without end")
)

// Conn is the connection to a client. Deadlines make reads and writes fail with
// an error whose Timeout method says true.
type Conn interface {
	io.Reader
	io.Writer
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
}

// An input reads lines and blocks of octets from a connection, through one
// buffer, so that nothing is read twice and nothing is lost between the two.
type input struct {
	conn   Conn
	begin  func() error                         // before a line: sets the read deadline
	flush  func() error                         // before a read: says what the client has to hear first
	waited func(wait time.Duration, octets int) // after a read
	buf    []byte
	r, w   int // buf[r:w] is not used yet
}

// waiting tells whether octets that the client sent already are left.
func (in *input) waiting() bool { return in.r < in.w }

// fill reads once more. The buffer must not be full.
func (in *input) fill() error {
	if in.r > 0 {
		in.w = copy(in.buf, in.buf[in.r:in.w])
		in.r = 0
	}
	if err := in.flush(); err != nil {
		return err
	}
	for range 100 {
		began := time.Now()
		n, err := in.conn.Read(in.buf[in.w:])
		in.waited(time.Since(began), n)
		in.w += n
		if n > 0 {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return io.ErrNoProgress
}

// line returns the next command line without its CR LF; it is good until the
// next call. A line that is too long is skipped to its end and errLongLine.
func (in *input) line() ([]byte, error) {
	// One deadline for the whole line: an octet a minute does not move it.
	if err := in.begin(); err != nil {
		return nil, err
	}
	seen, discarded := 0, 0
	for {
		chunk := in.buf[in.r:in.w]
		if i := bytes.IndexByte(chunk[seen:], '\n'); i >= 0 {
			line := chunk[:seen+i+1]
			in.r += len(line)
			switch n := len(line); {
			case n < 2 || line[n-2] != '\r' || bytes.IndexByte(line[:n-2], '\r') >= 0:
				return nil, errBareLine
			case discarded+n > maxCommand:
				return nil, errLongLine
			default:
				return line[:n-2], nil
			}
		}
		seen = len(chunk)
		if seen > maxCommand {
			// Keep the last octet: it may be the CR of the line's end.
			if bytes.IndexByte(chunk[:seen-1], '\r') >= 0 {
				return nil, errBareLine
			}
			discarded += seen - 1
			in.r += seen - 1
			seen = 1
			if discarded > maxDiscard {
				return nil, errNoEnd
			}
		}
		if err := in.fill(); err != nil {
			return nil, err
		}
	}
}
