package netperm

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// An Error is one thing wrong with a table, or one warning about it.
type Error struct {
	File   string // as given to Parse or Load
	Line   int    // first line of the rule, from 1; 0 when no single line is at fault
	Clause string // "" when the fault is not within a clause
	Reason string
	Err    error // the cause, or nil
}

// Error formats as "netperm-table:12: timeout: "5x" is not a number of seconds".
// Names that come from the table are quoted where they hold unusual characters,
// so no table can forge a line of a log.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		b.WriteByte(':')
		b.WriteString(strconv.Itoa(e.Line))
	}
	if e.Clause != "" {
		b.WriteString(": ")
		b.WriteString(printable(e.Clause))
	}
	b.WriteString(": ")
	b.WriteString(e.Reason)
	return b.String()
}

// Unwrap returns the cause, or nil.
func (e *Error) Unwrap() error { return e.Err }

// About reports whether the error is about one of these clauses.
func (e *Error) About(some ...Clause) bool {
	return slices.ContainsFunc(some, func(c Clause) bool { return e.Clause == c.String() })
}

// Errors is all that is wrong with one table, in line order; what concerns no
// single line comes last. It is never empty where a function returns it.
type Errors []*Error

// Error is the first error's text, and how many more there are.
func (es Errors) Error() string {
	switch len(es) {
	case 0:
		return "no error"
	case 1:
		return es[0].Error()
	}
	return es[0].Error() + " (and " + strconv.Itoa(len(es)-1) + " more)"
}

// Unwrap returns each error.
func (es Errors) Unwrap() []error {
	all := make([]error, len(es))
	for i, e := range es {
		all[i] = e
	}
	return all
}

// Split returns the single errors of err, which may come from any function of
// this package or from elsewhere: one log line for each. nil has none.
func Split(err error) []error {
	var es Errors
	switch {
	case err == nil:
		return nil
	case errors.As(err, &es):
		return es.Unwrap()
	}
	return []error{err}
}

// orNil keeps an empty list from becoming an error that is not nil.
func (es Errors) orNil() error {
	if len(es) == 0 {
		return nil
	}
	return es
}

// sort puts errors in line order, those without a line last.
func (es Errors) sort() {
	slices.SortStableFunc(es, func(a, b *Error) int {
		switch {
		case a.Line == b.Line:
			return 0
		case a.Line == 0:
			return 1
		case b.Line == 0:
			return -1
		}
		return a.Line - b.Line
	})
}

// errorf makes an Error whose cause is what the format wraps with %w.
func errorf(file string, line int, clause, format string, args ...any) *Error {
	err := fmt.Errorf(format, args...)
	return &Error{File: file, Line: line, Clause: clause, Reason: err.Error(), Err: errors.Unwrap(err)}
}

// printable quotes a word of the table unless it is plainly a name.
func printable(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && c != '-' && c != '_' && c != '.' {
			return quoted(s)
		}
	}
	return s
}

// quoted quotes and bounds a word for a message.
func quoted(s string) string {
	const most = 80
	if len(s) > most {
		return strconv.Quote(s[:most]) + "..."
	}
	return strconv.Quote(s)
}

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
}
