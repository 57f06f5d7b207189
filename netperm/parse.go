package netperm

import (
	"slices"
	"strings"
)

// Limits of a table.
const (
	MaxTable  = 1 << 20 // octets
	maxFaults = 100     // errors and warnings reported of one table, each
)

// Options say for whom a table is read.
type Options struct {
	Program string // "smap" or "smapd": the rules that count
	Root    bool   // the program starts as root, so that it needs a userid
}

// Parse reads a table from memory and checks everything that can be checked
// without looking at the system: the grammar, every value, and whether the
// clauses fit together. file is the name in errors. The error is an [Errors] that
// holds all that is wrong, or nil.
func Parse(data []byte, file string, o Options) (*Table, error) {
	if len(data) > MaxTable {
		return nil, Errors{errorf(file, 0, "", "the table is larger than %d octets", MaxTable)}
	}
	p := &parser{t: &Table{file: file, program: o.Program, first: make([]int32, len(clauses))}}
	n := len(data) / 48 // a guess at the number of rules saves growing by copying
	p.t.rules, p.arena = make([]rule, 0, n), make([]string, 0, 2*n)
	s := newScanner(string(data), o.Program)
	for s.next() {
		p.rule(s)
		if len(p.errs) >= maxFaults {
			p.errs = append(p.errs, errorf(file, 0, "", "more errors follow"))
			return nil, p.errs
		}
	}
	good := len(p.errs) == 0
	p.saneRequired(o.Root)
	if good {
		p.sane() // clauses are weighed against each other only when each is right
	}
	p.errs.sort()
	Errors(p.t.warnings).sort()
	if len(p.errs) > 0 {
		return nil, p.errs
	}
	return p.t, nil
}

// parser collects rules, errors and warnings.
type parser struct {
	t     *Table
	errs  Errors
	wrong []string // clauses that are there, but wrong
	arena []string // the words of all rules, so that a rule costs no allocation
}

func (p *parser) fail(line int, clause, format string, args ...any) {
	p.errs = append(p.errs, errorf(p.t.file, line, clause, format, args...))
}

func (p *parser) warn(line int, clause, format string, args ...any) {
	if len(p.t.warnings) < maxFaults {
		p.t.warnings = append(p.t.warnings, errorf(p.t.file, line, clause, format, args...))
	}
}

// failAt and warnAt are about the first rule of a clause.
func (p *parser) failAt(c Clause, format string, args ...any) {
	p.fail(p.t.Line(c), c.String(), format, args...)
}

func (p *parser) warnAt(c Clause, format string, args ...any) {
	p.warn(p.t.Line(c), c.String(), format, args...)
}

// rule takes one rule from the scanner.
func (p *parser) rule(s *scanner) {
	if s.headFault != "" {
		p.fail(s.at, "", "%s", s.headFault)
		return
	}
	if !s.ours() {
		for _, key := range s.keys {
			if prog := misspelt(key); prog != "" && prog != key {
				p.warn(s.at, "", "rule for %s is ignored; did you mean %s?", printable(key), prog)
			}
		}
		return
	}
	switch {
	case s.fault != "":
		clause := ""
		if len(s.words) > 0 {
			clause = s.words[0]
			p.wrong = append(p.wrong, clause)
		}
		p.fail(s.at, clause, "%s", s.fault)
		return
	case len(s.words) == 0:
		p.fail(s.at, "", "no clause after the colon")
		return
	}
	p.clause(s, slices.Contains(s.keys, p.t.program))
}

// clause looks the clause of a rule up and keeps the rule if it counts.
func (p *parser) clause(s *scanner, exact bool) {
	written := s.words[0]
	name, deny := written, false
	if base, ok := strings.CutPrefix(name, "permit-"); ok {
		name = base
	} else if base, ok := strings.CutPrefix(name, "deny-"); ok {
		name, deny = base, true
	}
	i := clauseIndex(name)
	if i >= 0 && name != written && clauses[i].kind != kindPermit {
		i = -1 // permit-timeout
	}
	if i < 0 {
		p.unknown(s.at, written, exact)
		return
	}
	c := &clauses[i]
	if !c.reads(p.t.program) {
		if exact && !slices.ContainsFunc(s.keys, func(key string) bool { return key == "*" || c.reads(key) }) {
			p.warn(s.at, written, "ignored: only %s reads it", c.programs[0])
		}
		return
	}
	r := rule{clause: i, line: s.at, deny: deny, words: p.keep(s.words[1:])}
	if first := p.t.first[i]; first > 0 && !c.list {
		if exact {
			p.warn(s.at, written, "never used: line %d already sets it", p.t.rules[first-1].line)
			p.values(c, &r)
		}
		return
	}
	if p.values(c, &r) {
		p.t.rules = append(p.t.rules, r)
		if p.t.first[i] == 0 {
			p.t.first[i] = int32(len(p.t.rules))
		}
	} else {
		p.wrong = append(p.wrong, c.name)
	}
}

// unknown reports a clause that is none of ours.
func (p *parser) unknown(line int, name string, exact bool) {
	switch {
	case !exact:
	case successor(name):
		p.warn(line, name, "ignored: this %s does not have it", p.t.program)
	default:
		near := nearest(name, p.t.program)
		p.fail(line, name, "unknown clause; did you mean %s?", near)
	}
}

// keep copies words out of the scanner.
func (p *parser) keep(words []string) []string {
	n := len(p.arena)
	p.arena = append(p.arena, words...)
	return p.arena[n:len(p.arena):len(p.arena)]
}
