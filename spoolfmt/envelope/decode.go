package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A ParseError says where an envelope, or the header of a drop, is malformed.
type ParseError struct {
	Line, Column int // from 1; columns count octets
	Err          error
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("line %d, column %d: %v", e.Line, e.Column, e.Err)
}

// Unwrap returns the reason.
func (e *ParseError) Unwrap() error { return e.Err }

// Read reads a whole envelope, at most MaxSize octets. An error is a
// *[ParseError], or the reader's own.
func Read(r io.Reader) (*Envelope, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxSize+1))
	if err != nil {
		return nil, err
	}
	return Parse(data)
}

// Parse reads an envelope: SPOOL-FORMAT.md, Envelope. An error is a
// *[ParseError], and then there is no envelope.
func Parse(data []byte) (*Envelope, error) {
	if len(data) > MaxSize {
		return nil, &ParseError{1, 1, fmt.Errorf("more than %d octets", MaxSize)}
	}
	p := parser{text: string(data), seen: make(map[string]bool)}
	p.e = &Envelope{size: -1, byAddress: make(map[string][]int)}
	for {
		line, more, err := p.next()
		if err != nil {
			return nil, err
		}
		if line == "" && !more {
			break
		}
		if err := p.field(line); err != nil {
			return nil, err
		}
	}
	return p.end()
}

// A parser reads one envelope line by line.
type parser struct {
	e    *Envelope
	text string // what is left
	line int    // of what was read last
	seen map[string]bool
}

func (p *parser) fail(column int, err error) error {
	return &ParseError{Line: p.line, Column: column, Err: err}
}

// next returns a line without its LF, and more is false for the empty one.
func (p *parser) next() (line string, more bool, err error) {
	p.line++
	i := strings.IndexByte(p.text, '\n')
	switch {
	case p.text == "":
		return "", false, p.fail(1, errors.New("the empty line that ends an envelope is missing"))
	case i >= MaxLine || i < 0 && len(p.text) >= MaxLine:
		return "", false, p.fail(MaxLine, fmt.Errorf("line of more than %d octets", MaxLine))
	case i < 0:
		return "", false, p.fail(len(p.text)+1, errors.New("the last line has no end"))
	}
	line, p.text = p.text[:i], p.text[i+1:]
	return line, line != "", nil
}

// field reads one line that is not empty.
func (p *parser) field(line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return p.fail(1, fmt.Errorf("no \": \" in %.80q", line))
	}
	if i := badFieldName(name); i >= 0 {
		return p.fail(i+1, fmt.Errorf("bad field name %.70q", name))
	}
	if !strings.HasPrefix(value, " ") {
		return p.fail(len(name)+2, errors.New("no space after the colon"))
	}
	value = value[1:]
	at := len(name) + len(": ") + 1
	if err := checkValue(value); err != nil {
		return p.fail(at+offset(err), err)
	}
	if p.line == 1 {
		if !strings.EqualFold(name, "Spool-Format") {
			return p.fail(1, errors.New("an envelope begins with \"Spool-Format: 1\""))
		}
		if value != "1" {
			return p.fail(at, fmt.Errorf("Spool-Format %.20q is not 1, the only version known here", value))
		}
	}
	if f := knownField(name); f != nil {
		if f.single {
			key := strings.ToLower(name)
			if p.seen[key] {
				return p.fail(1, fmt.Errorf("%s is repeated", name))
			}
			p.seen[key] = true
		}
		if err := f.take(p.e, value); err != nil {
			return p.fail(at+offset(err), fmt.Errorf("%s: %w", name, err))
		}
		if n := len(p.e.unassigned); n > 0 && p.e.unassigned[n-1].line == 0 {
			p.e.unassigned[n-1].line = p.line
		}
	}
	p.e.fields = append(p.e.fields, Field{name, value})
	return nil
}

// offset returns where in a value its fault is.
func offset(err error) int {
	var at *pathError
	if errors.As(err, &at) {
		return at.offset
	}
	return 0
}

// end checks what can only be seen when everything was read.
func (p *parser) end() (*Envelope, error) {
	if p.text != "" {
		p.line++
		return nil, p.fail(1, errors.New("text after the empty line"))
	}
	if err := p.e.assignOutcomes(); err != nil {
		var at *lineError
		if errors.As(err, &at) {
			p.line = at.line
		}
		return nil, p.fail(1, err)
	}
	if err := p.e.complete(); err != nil {
		return nil, p.fail(1, err)
	}
	return p.e, nil
}

// complete tells what is missing.
func (e *Envelope) complete() error {
	switch {
	case len(e.fields) == 0:
		return errors.New("an envelope begins with \"Spool-Format: 1\"")
	case !e.has("Sender"):
		return errNoSender
	case len(e.recipients) == 0:
		return errNoRecipient
	case e.size < 0:
		return errNoSize
	case e.size >= 1e18:
		return errors.New("Size of more than 18 digits")
	}
	return nil
}

// Marshal returns the envelope as it stands in its file. It refuses again
// whatever a reader would refuse.
func (e *Envelope) Marshal() ([]byte, error) {
	if err := e.complete(); err != nil {
		return nil, err
	}
	n := 1
	for _, f := range e.fields {
		n += len(f.Name) + len(": \n") + len(f.Value)
	}
	if n > MaxSize {
		return nil, fmt.Errorf("envelope of more than %d octets", MaxSize)
	}
	var b bytes.Buffer
	b.Grow(n)
	for _, f := range e.fields {
		if err := checkField(f.Name, f.Value); err != nil {
			return nil, fmt.Errorf("field %.70s: %w", f.Name, err)
		}
		b.WriteString(f.Name)
		b.WriteString(": ")
		b.WriteString(f.Value)
		b.WriteByte('\n')
	}
	b.WriteByte('\n')
	return b.Bytes(), nil
}
