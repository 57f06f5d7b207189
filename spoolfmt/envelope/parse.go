package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
)

// A ParseError says where an envelope or a drop is malformed.
type ParseError struct {
	Line, Column int // from 1; columns count octets
	Err          error
}

func (e *ParseError) Error() string {
	return fmt.Sprintf("line %d, column %d: %v", e.Line, e.Column, e.Err)
}

// Unwrap returns the reason.
func (e *ParseError) Unwrap() error { return e.Err }

// A valueError is a fault at a place in a value.
type valueError struct {
	offset int
	err    error
}

func (e *valueError) Error() string { return e.err.Error() }
func (e *valueError) Unwrap() error { return e.err }

// offset returns where in a value its fault is.
func offset(err error) int {
	var at *valueError
	if errors.As(err, &at) {
		return at.offset
	}
	return 0
}

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
		return nil, &ParseError{1, 1, errTooLong()}
	}
	p := parser{text: string(data)}
	lines := min(bytes.Count(data, []byte{'\n'}), MaxFields+2*MaxRecipients)
	p.e = &Envelope{size: -1, first: make(map[string]int), fields: make([]Field, 0, lines)}
	for {
		line, err := p.next()
		if err != nil {
			return nil, err
		}
		if line == "" {
			return p.end()
		}
		if err := p.field(line); err != nil {
			return nil, err
		}
	}
}

// A parser reads one envelope line by line.
type parser struct {
	e        *Envelope
	text     string // what is left
	line     int    // of what was read last
	fields   int    // that count for MaxFields
	outcomes []lineOutcome
}

// A lineOutcome is an outcome that was read. Its recipient may come later.
type lineOutcome struct {
	line    int
	address string
	outcome Outcome
}

func (p *parser) fail(column int, err error) error {
	return &ParseError{Line: p.line, Column: column, Err: err}
}

// next returns a line without its LF.
func (p *parser) next() (string, error) {
	p.line++
	i := strings.IndexByte(p.text, '\n')
	switch {
	case p.text == "":
		return "", p.fail(1, errors.New("the empty line that ends an envelope is missing"))
	case i >= MaxLine || i < 0 && len(p.text) >= MaxLine:
		return "", p.fail(MaxLine, errLongLine())
	case i < 0:
		return "", p.fail(len(p.text)+1, errors.New("the last line has no LF"))
	}
	line := p.text[:i]
	p.text = p.text[i+1:]
	return line, nil
}

// field reads one line that is not empty.
func (p *parser) field(line string) error {
	name, value, ok := strings.Cut(line, ":")
	if !ok {
		return p.fail(1, fmt.Errorf("expected NAME: VALUE, got %.80q", line))
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
			return p.fail(1, errNoFormat)
		}
		if value != "1" {
			return p.fail(at, fmt.Errorf("Spool-Format %.20q is not 1, the only version known here", value))
		}
	}
	if err := p.meaning(name, value); err != nil {
		return p.fail(at+offset(err), fmt.Errorf("%s: %w", name, err))
	}
	p.e.fields = append(p.e.fields, Field{name, value})
	return nil
}

// meaning takes in what a field says.
func (p *parser) meaning(name, value string) error {
	rule, known := ruleOf(name)
	if !ofDrainer(name) && rule.name != "Recipient" {
		p.fields++
		if p.fields > MaxFields {
			return errManyFields()
		}
	}
	if !known {
		return nil
	}
	if rule.single && p.e.Get(name) != "" {
		return errors.New("the field is repeated")
	}
	switch {
	case strings.EqualFold(name, "Delivered"):
		return p.outcome(StatusDelivered, value)
	case strings.EqualFold(name, "Failed"):
		return p.outcome(StatusFailed, value)
	}
	return rule.take(p.e, value)
}

func (p *parser) outcome(status Status, value string) error {
	if len(p.outcomes) == MaxRecipients {
		return errors.New("more outcomes than an envelope can have recipients")
	}
	address, o, err := parseOutcome(status, value)
	p.outcomes = append(p.outcomes, lineOutcome{p.line, address, o})
	return err
}

// end checks what only the end shows.
func (p *parser) end() (*Envelope, error) {
	if p.text != "" {
		p.line++
		return nil, p.fail(1, errors.New("text after the empty line"))
	}
	for _, o := range p.outcomes {
		if err := p.e.conclude(o.address, o.outcome); err != nil {
			return nil, &ParseError{Line: o.line, Column: 1, Err: err}
		}
	}
	if err := p.e.complete(); err != nil {
		return nil, p.fail(1, err)
	}
	return p.e, nil
}
