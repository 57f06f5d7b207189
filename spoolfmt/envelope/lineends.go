package envelope

import (
	"bytes"
	"errors"
	"io"
)

var (
	errNUL     = errors.New("NUL")
	errCR      = errors.New("CR without LF")
	errMixture = errors.New("some lines end in CR LF, others in LF")
)

// A lineReader reads a drop's text, in which all lines end in LF or all in
// CR LF, with LF alone. A mixture, a CR elsewhere and a NUL are a *[ParseError].
type lineReader struct {
	r     io.Reader
	line  int   // of the next octet, from 1
	at    int   // octets of it that were read
	crlf  bool  // how lines end; known from the second line on
	held  bool  // the last octet read is a CR, which may be part of a line's end
	fault error // for the next call of Read
}

// Read reads whole chunks, and converts them in place.
func (t *lineReader) Read(p []byte) (int, error) {
	for t.fault == nil {
		n, err := t.r.Read(p)
		n = t.convert(p[:n])
		if err == io.EOF && t.held && t.fault == nil {
			t.fail(t.at-1, errCR)
		}
		switch {
		case n > 0 && err == io.EOF: // the fault, if any, comes next
			return n, nil
		case n > 0 || err != nil && t.fault == nil:
			return n, err
		}
	}
	return 0, t.fault
}

func (t *lineReader) fail(at int, err error) {
	t.fault = &ParseError{Line: t.line, Column: at + 1, Err: err}
}

// convert takes the CRs out of line ends, and returns how many octets are left,
// up to a fault.
func (t *lineReader) convert(p []byte) int {
	out := p[:0]
	for len(p) > 0 {
		line, rest, ends := bytes.Cut(p, []byte{'\n'})
		text, err := t.check(line, ends)
		if err != nil {
			break
		}
		out = append(out, text...)
		if ends {
			out = append(out, '\n')
			t.line++
			t.at = 0
		}
		p = rest
	}
	return len(out)
}

// check checks a line, or the part of one that a chunk has, and returns it
// without its CR.
func (t *lineReader) check(line []byte, ends bool) ([]byte, error) {
	nul, cr := bytes.IndexByte(line, 0), bytes.IndexByte(line, '\r')
	switch {
	case t.held && len(line) > 0:
		t.fail(t.at-1, errCR)
	case cr >= 0 && cr < len(line)-1:
		t.fail(t.at+cr, errCR)
	case nul >= 0:
		t.fail(t.at+nul, errNUL)
	}
	if t.fault != nil {
		return nil, t.fault
	}
	t.at += len(line)
	t.held = t.held || cr >= 0
	if ends {
		return t.end(line)
	}
	return bytes.TrimSuffix(line, []byte{'\r'}), nil
}

// end checks that a line ends as all others do.
func (t *lineReader) end(line []byte) ([]byte, error) {
	if t.line == 1 {
		t.crlf = t.held
	}
	if t.held != t.crlf {
		at := t.at
		if t.held {
			at--
		}
		t.fail(at, errMixture)
		return nil, t.fault
	}
	t.held = false
	return bytes.TrimSuffix(line, []byte{'\r'}), nil
}
