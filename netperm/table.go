package netperm

import (
	"net/netip"
	"slices"
	"strings"
	"time"
)

// A Table is what one program reads in a netperm-table: checked, and constant.
// Its accessors return the value that counts, else the clause's default, else
// the zero value.
type Table struct {
	file     string
	program  string
	rules    []rule
	first    []int32 // by clause: the index of its first rule plus 1, 0 if none
	warnings []*Error
}

type rule struct {
	clause   int
	line     int
	deny     bool
	words    []string
	patterns []Pattern
}

// Warnings returns what is suspicious but does not keep the program from
// working, in line order.
func (t *Table) Warnings() []*Error { return slices.Clone(t.warnings) }

// Errorf makes an error about a clause, with its line, for what only the caller
// can find out. The format may have one %w.
func (t *Table) Errorf(c Clause, format string, args ...any) *Error {
	return errorf(t.file, t.Line(c), c.String(), format, args...)
}

// ErrorAt is Errorf for one of the rules of a clause.
func (t *Table) ErrorAt(c LinesClause, l Line, format string, args ...any) *Error {
	return errorf(t.file, l.Number, c.String(), format, args...)
}

// rule returns the first rule of a clause, nil if there is none, and the entry.
func (t *Table) rule(c Clause) (*rule, *entry) {
	i := c.index()
	if n := t.first[i]; n > 0 {
		return &t.rules[n-1], &clauses[i]
	}
	return nil, &clauses[i]
}

// Has reports whether the clause is written in the table.
func (t *Table) Has(c Clause) bool { return t.Line(c) > 0 }

// Line is the line of the clause's first rule, 0 if it is not written.
func (t *Table) Line(c Clause) int {
	if r, _ := t.rule(c); r != nil {
		return r.line
	}
	return 0
}

// String returns the value of a clause that takes one word.
func (t *Table) String(c StringClause) string { return t.word(c) }

// word is the first value of a clause.
func (t *Table) word(c Clause) string {
	switch r, e := t.rule(c); {
	case r == nil:
		return e.standard
	case len(r.words) > 0:
		return r.words[0]
	}
	return ""
}

// Words returns all values of a clause, those of a list clause from all its
// rules in order; nil when it is not written.
func (t *Table) Words(c WordsClause) []string { return t.words(c) }

// A Line is one rule of a clause that may be written any number of times.
type Line struct {
	Number int // in the file
	Words  []string
}

// Lines returns the rules of a clause, in order.
func (t *Table) Lines(c LinesClause) []Line {
	var all []Line
	for i := range t.rules {
		if r := &t.rules[i]; r.clause == c.index() {
			all = append(all, Line{Number: r.line, Words: slices.Clone(r.words)})
		}
	}
	return all
}

func (t *Table) words(c Clause) []string {
	r, e := t.rule(c)
	if r == nil {
		return nil
	}
	if !e.list {
		return slices.Clone(r.words)
	}
	var all []string
	for i := range t.rules {
		if r := &t.rules[i]; r.clause == c.index() {
			all = append(all, r.words...)
		}
	}
	return all
}

// Int returns a number, or a size in octets.
func (t *Table) Int(c IntClause) int64 {
	n, _ := clauses[c].number(t.word(c))
	return n
}

// Duration returns a time given in seconds.
func (t *Table) Duration(c DurationClause) time.Duration {
	n, _ := clauses[c].number(t.word(c))
	return time.Duration(n) * time.Second
}

// Durations returns a schedule; nil when it is not written.
func (t *Table) Durations(c DurationsClause) []time.Duration {
	r, e := t.rule(c)
	if r == nil {
		return nil
	}
	all := make([]time.Duration, len(r.words))
	for i, w := range r.words {
		n, _ := e.number(w)
		all[i] = time.Duration(n) * time.Second
	}
	return all
}

// Bool reports whether the clause is "yes". A clause without a value is "yes".
func (t *Table) Bool(c BoolClause) bool {
	r, _ := t.rule(c)
	return r != nil && len(r.words) == 0 || t.word(c) == "yes"
}

// Match reports whether any pattern of a clause matches the host.
func (t *Table) Match(c PatternsClause, h Host) bool {
	for i := range t.rules {
		r := &t.rules[i]
		if r.clause != c.index() {
			continue
		}
		for _, p := range r.patterns {
			if p.Match(h) {
				return true
			}
		}
	}
	return false
}

// A Decision says whether a host can talk to the program, and which rule decided.
type Decision struct {
	Allowed bool
	Line    int    // of the rule; 0 when none matched
	Rule    string // as in the table, e.g. "deny-hosts 192.0.2.*"; "" when none matched
}

// Permit evaluates the permit-hosts and deny-hosts rules in their order; the
// first with a pattern that matches decides. When none matches, the host is
// allowed if the table has no permit-hosts rule, and refused if it has one: a
// list of permitted hosts excludes all others.
func (t *Table) Permit(h Host) Decision {
	permits := false
	for i := range t.rules {
		r := &t.rules[i]
		if clauses[r.clause].kind != kindPermit {
			continue
		}
		permits = permits || !r.deny
		for _, p := range r.patterns {
			if p.Match(h) {
				return Decision{Allowed: !r.deny, Line: r.line, Rule: r.text()}
			}
		}
	}
	return Decision{Allowed: !permits}
}

// Denied reports whether the permit-hosts and deny-hosts rules refuse an address
// whatever its name is, so that nobody has to look that up.
func (t *Table) Denied(addr netip.Addr) bool {
	permits := false
	for i := range t.rules {
		r := &t.rules[i]
		if clauses[r.clause].kind != kindPermit {
			continue
		}
		permits = permits || !r.deny
		for _, p := range r.patterns {
			switch {
			case p.IsName():
				return false // it may match
			case p.Match(Host{Addr: addr}):
				return r.deny
			}
		}
	}
	return permits
}

// namePattern returns the first rule with a name pattern, and the pattern; nil
// if there is none.
func (t *Table) namePattern() (*rule, Pattern) {
	for i := range t.rules {
		for _, p := range t.rules[i].patterns {
			if p.IsName() {
				return &t.rules[i], p
			}
		}
	}
	return nil, Pattern{}
}

// text is the rule as a table has it, without its keywords.
func (r *rule) text() string {
	var b strings.Builder
	b.WriteString(clauses[r.clause].spelled(r.deny))
	for _, w := range r.words {
		b.WriteByte(' ')
		b.WriteString(quoteWord(w))
	}
	return b.String()
}
