package agent

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"
)

// A content goes out as it is: 8-bit or not, also to a server that does not offer
// 8BITMIME, and with lines of more than 998 octets if it has any. RFC 6152 would have
// it converted or returned; converting needs a MIME parser, returning loses mail that
// most servers take, and the administrator chose the server. A server that refuses
// such lines says so, and the sender is told what it said.

// errBareCR is the refusal of a content that could smuggle commands. The spool has
// checked it before; it is checked again on the way out.
var errBareCR = errors.New("content holds a CR: not sent")

// broken is the result of a content that could not be written. The server may have
// sent the reason before it closed.
func (c *smtpConn) broken(err error) Result {
	if errors.Is(err, errBareCR) {
		return Result{Outcome: Failed, Text: err.Error(), Status: "5.6.0", Remote: c.name}
	}
	var operation *net.OpError
	if errors.As(err, &operation) && !operation.Timeout() {
		if r, rerr := c.read(time.Second); rerr == nil && r.code >= 400 {
			refusal := c.refusal("DATA", r)
			if c.opt.LMTP {
				refusal.Outcome = Retry // it may be about one of the recipients
			}
			return refusal
		}
	}
	return Result{Text: "DATA: " + err.Error(), Remote: c.name}
}

// data writes the content with CRLF line ends and dots doubled, and the final
// dot, into the buffer. It never writes the final dot after an error.
func (c *smtpConn) data(job *Job) error {
	c.raw.limit(c.opt.limits.block)
	if _, err := job.Content.Seek(0, io.SeekStart); err != nil {
		return err
	}
	if err := writeData(c.w, job.Content, job.Size); err != nil {
		return err
	}
	_, err := c.w.WriteString(".\r\n")
	return err
}

// contentBuffer returns a buffer to read a content with. Most contents are small.
func contentBuffer(size int64) []byte { return make([]byte, min(32<<10, max(size, 0)+1)) }

// writeData copies size octets as the body of a DATA command. A CR is refused;
// a last line without end gets one.
func writeData(w *bufio.Writer, r io.Reader, size int64) error {
	buf := contentBuffer(size)
	begin := true // of a line
	var n int64
	for {
		k, err := r.Read(buf)
		n += int64(k)
		if bytes.IndexByte(buf[:k], '\r') >= 0 {
			return errBareCR
		}
		for rest := buf[:k]; len(rest) > 0; {
			if begin && rest[0] == '.' {
				if err := w.WriteByte('.'); err != nil {
					return err
				}
			}
			i := bytes.IndexByte(rest, '\n')
			begin = i >= 0
			line := rest
			if begin {
				line = rest[:i]
			}
			if _, err := w.Write(line); err != nil {
				return err
			}
			if !begin {
				break
			}
			if _, err := w.WriteString("\r\n"); err != nil {
				return err
			}
			rest = rest[i+1:]
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
	}
	if n != size {
		return fmt.Errorf("content has %d octets, not %d", n, size)
	}
	if !begin {
		_, err := w.WriteString("\r\n")
		return err
	}
	return nil
}

// wireSize is the content's size as RFC 1870 counts it: with CRLF line ends,
// without the dots that are added.
func wireSize(content *os.File, size int64) (int64, error) {
	r := io.NewSectionReader(content, 0, 1<<62)
	buf := contentBuffer(size)
	var n int64
	ended := true
	for {
		k, err := r.Read(buf)
		n += int64(k + bytes.Count(buf[:k], []byte{'\n'}))
		if k > 0 {
			ended = buf[k-1] == '\n'
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			return 0, err
		}
	}
	if !ended {
		n += 2
	}
	return n, nil
}

// headerASCII tells whether a content's header needs no SMTPUTF8.
func headerASCII(content *os.File) bool {
	r := bufio.NewReader(io.NewSectionReader(content, 0, 1<<62))
	for last := byte('\n'); ; {
		b, err := r.ReadByte()
		switch {
		case err != nil, b == '\n' && last == '\n':
			return true
		case b >= 0x80:
			return false
		}
		last = b
	}
}
