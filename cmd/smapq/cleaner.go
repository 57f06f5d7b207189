package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"

	"smap/internal/sysexits"
)

// A cleaner turns what programs write into what a content may be: lines end in
// LF, and in nothing else.
type cleaner struct {
	r       *bufio.Reader
	dotEnds bool
	lines   int
	within  bool // a line that is longer than the buffer
	eight   bool // some octet is beyond ASCII
}

// next returns the next line, or the next part of a long one; it is valid until
// the call after it.
func (c *cleaner) next() ([]byte, error) {
	chunk, err := c.r.ReadSlice('\n')
	first := !c.within
	switch {
	case errors.Is(err, bufio.ErrBufferFull):
		if chunk[len(chunk)-1] == '\r' { // its LF may follow
			if err := c.r.UnreadByte(); err != nil {
				return nil, err
			}
			chunk = chunk[:len(chunk)-1]
		}
		c.within = true
	case errors.Is(err, io.EOF) && len(chunk) > 0:
		chunk = append(bytes.Clone(chunk), '\n')
		c.within = false
	case errors.Is(err, io.EOF) && c.within:
		c.within = false
		return []byte{'\n'}, nil
	case err != nil:
		return nil, err
	default:
		c.within = false
	}
	if first {
		c.lines++
	}
	if bytes.HasSuffix(chunk, []byte("\r\n")) {
		chunk = append(chunk[:len(chunk)-2], '\n')
	}
	if i := bytes.IndexAny(chunk, "\r\x00"); i >= 0 {
		return nil, failf(sysexits.DataErr, "line %d of the message holds %q; a message must not contain NUL, or CR without LF", c.lines, chunk[i])
	}
	if first && c.dotEnds && string(chunk) == ".\n" {
		return nil, io.EOF
	}
	for i := 0; !c.eight && i < len(chunk); i++ {
		c.eight = chunk[i] >= 0x80
	}
	return chunk, nil
}

// interruptible makes a wait for input end when the context does.
func interruptible(ctx context.Context, r io.Reader) io.Reader {
	if ctx.Done() == nil {
		return r
	}
	pr, pw := io.Pipe()
	go func() {
		_, err := io.Copy(pw, r)
		_ = pw.CloseWithError(err) // never fails
	}()
	context.AfterFunc(ctx, func() { _ = pw.CloseWithError(failf(sysexits.TempFail, "interrupted; nothing was sent")) })
	return pr
}
