package netperm

import (
	"bytes"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// An expectation is one run of Parse over a table and what must come of it. It
// stands in comments "#expect: key: value" of the table itself, or in a file
// beside it where the table must have no such comments. "program" begins a new
// one.
type expectation struct {
	program string
	root    bool
	errors  []fault
	warns   []fault
	checks  [][2]string // value, patterns, host, match
}

type fault struct {
	line int
	text string
}

// expectations reads what a table must come to. Unknown keys fail.
func expectations(t *testing.T, file string, table []byte) []expectation {
	t.Helper()
	var lines []string
	if side, err := os.ReadFile(strings.TrimSuffix(file, ".table") + ".expect"); err == nil {
		for line := range strings.Lines(string(side)) {
			if !strings.HasPrefix(line, "#") {
				lines = append(lines, strings.TrimSpace(line))
			}
		}
	} else {
		for line := range strings.Lines(string(table)) {
			if rest, ok := strings.CutPrefix(line, "#expect: "); ok {
				lines = append(lines, strings.TrimSpace(rest))
			}
		}
	}
	if len(lines) == 0 {
		t.Fatal("nothing is expected of this table")
	}
	runs := []expectation{{program: "smap"}}
	for i, line := range lines {
		run := &runs[len(runs)-1]
		key, value, _ := strings.Cut(line, " ")
		switch key {
		case "program:":
			if i > 0 {
				runs = append(runs, expectation{})
			}
			runs[len(runs)-1].program = value
		case "root:":
			run.root = value == "yes"
		case "error", "warning":
			var f fault
			if _, err := fmt.Sscanf(value, "%d", &f.line); err != nil {
				t.Fatalf("bad expectation %q: %v", line, err)
			}
			_, f.text, _ = strings.Cut(value, " ")
			if key == "error" {
				run.errors = append(run.errors, f)
			} else {
				run.warns = append(run.warns, f)
			}
		case "value:", "patterns:", "host:", "match:":
			run.checks = append(run.checks, [2]string{strings.TrimSuffix(key, ":"), value})
		default:
			t.Fatalf("unknown expectation %q", line)
		}
	}
	return runs
}

func TestTables(t *testing.T) {
	for _, kind := range []string{"good", "bad"} {
		files, err := filepath.Glob("../testdata/netperm/" + kind + "/*.table")
		if err != nil || len(files) < 20 {
			t.Fatalf("%d tables in %s: %v", len(files), kind, err)
		}
		for _, file := range files {
			t.Run(kind+"/"+strings.TrimSuffix(filepath.Base(file), ".table"), func(t *testing.T) {
				data, err := os.ReadFile(file)
				if err != nil {
					t.Fatal(err)
				}
				for _, run := range expectations(t, file, data) {
					if (len(run.errors) > 0) != (kind == "bad") {
						t.Errorf("a %s table that expects %d errors", kind, len(run.errors))
					}
					run.test(t, data)
				}
			})
		}
	}
}

func (x *expectation) test(t *testing.T, data []byte) {
	table, err := Parse(data, "netperm-table", Options{Program: x.program, Root: x.root})
	if len(x.errors) > 0 {
		es, ok := err.(Errors)
		if !ok || table != nil {
			t.Fatalf("Parse returned %v and error %v, want %d errors", table, err, len(x.errors))
		}
		compareFaults(t, "error", es, x.errors)
		return
	}
	if err != nil {
		for _, e := range Split(err) {
			t.Error(e)
		}
		return
	}
	compareFaults(t, "warning", table.Warnings(), x.warns)
	for _, c := range x.checks {
		checkTable(t, table, c[0], c[1])
	}
}

func compareFaults(t *testing.T, what string, got []*Error, want []fault) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			t.Errorf("unexpected %s: %v", what, got[i])
		case i >= len(got):
			t.Errorf("missing %s: line %d: %s", what, want[i].line, want[i].text)
		default:
			prefix := "netperm-table: "
			if want[i].line > 0 {
				prefix = fmt.Sprintf("netperm-table:%d: ", want[i].line)
			}
			msg := got[i].Error()
			if got[i].Line != want[i].line || !strings.HasPrefix(msg, prefix) || !strings.Contains(msg, want[i].text) {
				t.Errorf("%s %q, want %s...%s", what, msg, prefix, want[i].text)
			}
		}
	}
}

// checkTable tests one thing that a good table must give. Words of values are
// written as they would be in a table.
func checkTable(t *testing.T, table *Table, key, value string) {
	t.Helper()
	s := newScanner("smap: "+value, "smap")
	if !s.next() || s.fault != "" || len(s.words) == 0 {
		t.Fatalf("bad expectation %s: %s: %s", key, value, s.fault)
	}
	words := slices.Clone(s.words)
	switch key {
	case "value":
		c := clauses[clauseIndex(words[0])].id
		got := table.words(c)
		if got == nil {
			got = []string{table.word(c)}
		}
		if !slices.Equal(got, words[1:]) {
			t.Errorf("%s is %q, want %q", words[0], got, words[1:])
		}
	case "patterns":
		var got []string
		for i := range table.rules {
			if r := &table.rules[i]; r.clause == clauseIndex(words[0]) {
				for _, p := range r.patterns {
					got = append(got, p.String())
				}
			}
		}
		if !slices.Equal(got, words[1:]) {
			t.Errorf("patterns of %s are %q, want %q", words[0], got, words[1:])
		}
	case "host":
		d := table.Permit(host(t, words[0], words[1]))
		if got := fmt.Sprint(map[bool]string{true: "allow", false: "deny"}[d.Allowed], " ", d.Line); got != words[2]+" "+words[3] {
			t.Errorf("host %s %s: %s (%s), want %s %s", words[0], words[1], got, d.Rule, words[2], words[3])
		}
		if (d.Rule == "") != (d.Line == 0) {
			t.Errorf("rule %q of line %d", d.Rule, d.Line)
		}
	case "match":
		if got := table.Match(PatternsClause(clauseIndex(words[0])), host(t, words[1], words[2])); got != (words[3] == "yes") {
			t.Errorf("%s %s matches %s: %t", words[1], words[2], words[0], got)
		}
	}
}

// host makes a Host from two words, "-" being none.
func host(t *testing.T, addr, name string) Host {
	t.Helper()
	var h Host
	if addr != "-" {
		a, err := netip.ParseAddr(addr)
		if err != nil {
			t.Fatal(err)
		}
		h.Addr = a
	}
	if name != "-" {
		h.Name = name
	}
	return h
}

// A table whose lines end in CR LF must come to the same.
func TestTablesWithCRLF(t *testing.T) {
	files, err := filepath.Glob("../testdata/netperm/good/*.table")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d tables: %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(data, []byte("\r")) {
			continue
		}
		for _, program := range []string{"smap", "smapd"} {
			a, errA := Parse(data, "t", Options{Program: program})
			b, errB := Parse(bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n")), "t", Options{Program: program})
			if (errA == nil) != (errB == nil) {
				t.Errorf("%s: %v with LF, %v with CR LF", file, errA, errB)
			} else if errA == nil && format(a) != format(b) {
				t.Errorf("%s: LF\n%s\nCR LF\n%s", file, format(a), format(b))
			}
		}
	}
}

// format writes the rules that count as a table.
func format(t *Table) string {
	var b strings.Builder
	for i := range t.rules {
		b.WriteString(t.program + ": " + t.rules[i].text() + "\n")
	}
	return b.String()
}
