package netperm

import (
	"slices"
	"strings"
	"time"
)

// A Table is what one program reads in a netperm-table: checked, and constant.
// Its accessors give the value that counts, else the clause's default, else the
// zero value; they also give the zero value for a clause that does not exist, or
// that is of a kind they are not for.
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

// Errorf makes an error about a clause, at the line where it stands, for what
// only the caller can find out. %w works.
func (t *Table) Errorf(clause, format string, args ...any) *Error {
	return errorf(t.file, t.Line(clause), clause, format, args...)
}

// rule returns the first rule of a clause, and the clause; nil if there is none.
func (t *Table) rule(clause string) (*rule, *Clause) {
	i := clauseIndex(clause)
	if i < 0 {
		return nil, nil
	}
	if n := t.first[i]; n > 0 {
		return &t.rules[n-1], &clauses[i]
	}
	return nil, &clauses[i]
}

// Has reports whether the clause is written in the table.
func (t *Table) Has(clause string) bool { return t.Line(clause) > 0 }

// Line is the line of the clause's first rule, 0 if it is not written.
func (t *Table) Line(clause string) int {
	if r, _ := t.rule(clause); r != nil {
		return r.line
	}
	return 0
}

// String returns the value of a clause that takes one word.
func (t *Table) String(clause string) string {
	switch r, c := t.rule(clause); {
	case r != nil && len(r.words) > 0:
		return r.words[0]
	case r == nil && c != nil:
		return c.Default
	}
	return ""
}

// Words returns all values of a clause, those of a list clause from all its
// rules in order; nil when it is not written.
func (t *Table) Words(clause string) []string {
	r, c := t.rule(clause)
	if r == nil {
		return nil
	}
	if !c.List {
		return slices.Clone(r.words)
	}
	var all []string
	for i := range t.rules {
		if r := &t.rules[i]; clauses[r.clause].Name == clause {
			all = append(all, r.words...)
		}
	}
	return all
}

// Int returns a number, or a size in octets.
func (t *Table) Int(clause string) int64 {
	if _, c := t.rule(clause); c != nil && (c.Kind == KindInt || c.Kind == KindSize) {
		n, _ := c.number(t.String(clause))
		return n
	}
	return 0
}

// Duration returns a time given in seconds.
func (t *Table) Duration(clause string) time.Duration {
	if _, c := t.rule(clause); c != nil && c.Kind == KindSeconds {
		n, _ := c.number(t.String(clause))
		return time.Duration(n) * time.Second
	}
	return 0
}

// Durations returns a schedule; nil when it is not written.
func (t *Table) Durations(clause string) []time.Duration {
	r, c := t.rule(clause)
	if r == nil || c.Kind != KindSchedule {
		return nil
	}
	all := make([]time.Duration, len(r.words))
	for i, w := range r.words {
		n, _ := c.number(w)
		all[i] = time.Duration(n) * time.Second
	}
	return all
}

// Bool reports whether the clause says yes; the clause alone, without a value,
// says it too.
func (t *Table) Bool(clause string) bool {
	r, c := t.rule(clause)
	if c == nil || c.Kind != KindBool {
		return false
	}
	return r != nil && len(r.words) == 0 || t.String(clause) == "yes"
}

// Patterns returns the host patterns of a list clause, in order.
func (t *Table) Patterns(clause string) []Pattern {
	var all []Pattern
	for i := range t.rules {
		if r := &t.rules[i]; clauses[r.clause].Name == clause {
			all = append(all, r.patterns...)
		}
	}
	return all
}

// Match reports whether any pattern of a list clause matches the host.
func (t *Table) Match(clause string, h Host) bool {
	for i := range t.rules {
		r := &t.rules[i]
		if clauses[r.clause].Name != clause {
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

// A Decision says whether a host may talk to the program, and which rule said so.
type Decision struct {
	Allowed bool
	Line    int    // of the rule; 0 when none matched
	Rule    string // as in the table, e.g. "deny-hosts 192.0.2.*"; "" when none matched
}

// Permit evaluates the permit-hosts and deny-hosts rules in their order; the
// first with a pattern that matches decides. When none matches, the host is
// refused if there is any permit-hosts rule and allowed if there is none: who
// lists whom to permit means nobody else.
func (t *Table) Permit(h Host) Decision {
	permits := false
	for i := range t.rules {
		r := &t.rules[i]
		if clauses[r.clause].Kind != KindPermit {
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

// NeedsName reports whether what hosts may do depends on their verified names:
// a rule holds a name pattern and "names yes" has them looked up. Permit and
// Match must then wait for the name.
func (t *Table) NeedsName() bool {
	r, _ := t.namePattern()
	return r != nil && t.Bool("names")
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

// text is the rule as it could stand in a table, without its keywords.
func (r *rule) text() string {
	var b strings.Builder
	b.WriteString(clauses[r.clause].spelled(r.deny))
	for _, w := range r.words {
		b.WriteByte(' ')
		b.WriteString(quoteWord(w))
	}
	return b.String()
}
