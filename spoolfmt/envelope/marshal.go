package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Marshal returns the envelope's file. It refuses what a reader would refuse.
func (e *Envelope) Marshal() ([]byte, error) {
	if err := e.complete(); err != nil {
		return nil, err
	}
	n := len("\n")
	for _, f := range e.fields {
		n += len(f.Name) + len(": \n") + len(f.Value)
	}
	if n > MaxSize {
		return nil, errTooLong()
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

var (
	errNoFormat    = errors.New(`an envelope begins with "Spool-Format: 1"`)
	errNoSender    = errors.New("no Sender field")
	errNoRecipient = errors.New("no Recipient field")
	errNoSize      = errors.New("no Size field")
)

// complete tells what is missing, or too much.
func (e *Envelope) complete() error {
	switch {
	case len(e.fields) == 0:
		return errNoFormat
	case !slices.ContainsFunc(e.fields, func(f Field) bool { return strings.EqualFold(f.Name, "Sender") }):
		return errNoSender
	case len(e.recipients) == 0:
		return errNoRecipient
	case e.size < 0:
		return errNoSize
	case e.size >= 1e18:
		return errors.New("Size of more than 18 digits")
	}
	return e.checkLimits()
}

func errTooLong() error { return fmt.Errorf("envelope of more than %d octets", MaxSize) }

// checkField checks what every field has to satisfy.
func checkField(name, value string) error {
	if badFieldName(name) >= 0 {
		return fmt.Errorf("bad field name %.70q", name)
	}
	if err := checkValue(value); err != nil {
		return err
	}
	if len(name)+len(": \n")+len(value) > MaxLine {
		return errLongLine()
	}
	return nil
}

func errLongLine() error { return fmt.Errorf("line of more than %d octets", MaxLine) }

// checkValue checks what every value has to satisfy.
func checkValue(value string) error {
	if i := badText(value); i >= 0 {
		return &valueError{i, fmt.Errorf("control character or invalid UTF-8: %q", value[i:min(i+1, len(value))])}
	}
	if value == "" || value[0] == ' ' || value[len(value)-1] == ' ' {
		return errors.New("empty value, or space at its beginning or end")
	}
	return nil
}

// badFieldName returns the place of the first octet that a field's name must not
// contain, or -1.
func badFieldName(name string) int {
	for i := 0; i < len(name); i++ {
		if !isLetter(name[i]) && (i == 0 || !isDigit(name[i]) && name[i] != '-') {
			return i
		}
	}
	if name == "" || len(name) > maxName {
		return min(len(name), maxName)
	}
	return -1
}
