package envelope

import (
	"bufio"
	"fmt"
	"io"
	"time"
)

// MaxDropHeader is the most octets that the header of a drop may have.
const MaxDropHeader = 1 << 20

// dropBuffer is large enough that system calls cost little beside the octets.
const dropBuffer = 64 << 10

// Missing holds what a drop's header gets if it lacks it.
type Missing struct {
	Date      time.Time // the zero time adds no Date field
	MessageID string    // without angle brackets; empty adds no Message-ID field
}

// ReadDrop reads a single-file drop and writes its content to w:
// SPOOL-FORMAT.md, The single-file drop. It returns the sender and the
// recipients that the header names. An error is a *[ParseError], or one of
// reading and writing.
func ReadDrop(r io.Reader, w io.Writer, add Missing) (sender Path, recipients []Path, err error) {
	lines := &lineReader{r: r, line: 1}
	in, out := bufio.NewReaderSize(lines, dropBuffer), &endWriter{w: w}
	h := dropHeader{in: in, ends: lines, w: out, add: add, fields: make(map[string]*addressField)}
	for _, name := range resentSenderNames() {
		h.fields[name] = &addressField{sender: true}
	}
	for _, name := range append(recipientNames(), resentRecipientNames()...) {
		h.fields[name] = new(addressField)
	}
	if err := h.read(); err != nil {
		return Path{}, nil, err
	}
	if sender, err = h.sender(); err != nil {
		return Path{}, nil, err
	}
	if recipients, err = h.recipients(); err != nil {
		return Path{}, nil, err
	}
	if _, err := in.WriteTo(out); err != nil {
		return Path{}, nil, err
	}
	return sender, recipients, out.endLine()
}

// An endWriter can end a last line that has no end.
type endWriter struct {
	w    io.Writer
	open bool // the last octet written was no LF
}

func (w *endWriter) Write(p []byte) (int, error) {
	if len(p) > 0 {
		w.open = p[len(p)-1] != '\n'
	}
	return w.w.Write(p)
}

func (w *endWriter) endLine() error {
	if !w.open {
		return nil
	}
	_, err := w.Write([]byte{'\n'})
	return err
}

// dropHeader reads the lines of a header and keeps the fields that matter.
type dropHeader struct {
	in     *bufio.Reader
	ends   *lineReader
	w      *endWriter
	add    Missing
	line   int
	size   int                      // in the file, where a line may end in CR LF
	fields map[string]*addressField // by lower-case name
	dated  bool                     // there is a Date field
	hasID  bool                     // there is a Message-ID field

	name  string // of the field that a continuation belongs to; "" before the first
	begin int    // the line it begins on
	text  []byte // its value, if it has addresses; grows by up to a million lines
	left  bool   // it is left out of the content
}

func (h *dropHeader) fail(format string, args ...any) error {
	return &ParseError{Line: h.line, Column: 1, Err: fmt.Errorf(format, args...)}
}

// read reads the header and the empty line after it, and writes the content's part
// of them.
func (h *dropHeader) read() error {
	for {
		line, err := h.next()
		switch {
		case err != nil:
			return err
		case line == "": // the end of the drop
			return h.complete()
		case line == "\n":
			if err := h.complete(); err != nil {
				return err
			}
			_, err := io.WriteString(h.w, line)
			return err
		}
		if err := h.take(line); err != nil {
			return err
		}
	}
}
