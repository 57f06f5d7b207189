package netperm

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// FuzzParse: nothing panics; every error says where it is; a table that parses
// is the same table when its rules are written out again.
func FuzzParse(f *testing.F) {
	files, err := filepath.Glob("../testdata/netperm/*/*.table")
	if err != nil || len(files) == 0 {
		f.Fatalf("%d tables: %v", len(files), err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data, strings.Contains(string(data), "program: smapd"))
	}
	f.Fuzz(func(t *testing.T, data []byte, second bool) {
		o := Options{Program: "smap"}
		if second {
			o.Program = "smapd"
		}
		table, err := Parse(data, "table", o)
		if err != nil {
			checkErrors(t, data, table, err)
			return
		}
		text := format(table)
		again, err := Parse([]byte(text), "table", o)
		if err != nil {
			t.Fatalf("%q\ngives\n%s\nwhich does not parse: %v", data, text, err)
		}
		if second := format(again); second != text {
			t.Fatalf("%q\ngives\n%s\nthen\n%s", data, text, second)
		}
		for i := range clauses {
			id := clauses[i].id
			if a, b := strings.Join(table.words(id), "\x00"), strings.Join(again.words(id), "\x00"); a != b {
				t.Fatalf("%s: %q, then %q", id, a, b)
			}
			switch c := id.(type) {
			case IntClause:
				if n := table.Int(c); n < clauses[i].least || n > clauses[i].most {
					t.Fatalf("%s: %d", c, n)
				}
			case DurationClause:
				if d := table.Duration(c); d < 0 || d == 0 && clauses[i].least > 0 {
					t.Fatalf("%s: %s", c, d)
				}
			}
		}
		table.Permit(Host{Addr: netip.MustParseAddr("192.0.2.1"), Name: "mail.example.com"})
	})
}

// checkErrors makes sure that errors say where they are, and can be logged.
func checkErrors(t *testing.T, data []byte, table *Table, err error) {
	if table != nil {
		t.Fatal("a table and an error")
	}
	lines, last := strings.Count(string(data), "\n")+1, 0
	for _, e := range err.(Errors) {
		msg := e.Error()
		if e.File != "table" || !strings.HasPrefix(msg, "table:") || e.Reason == "" || len(msg) > 1000 {
			t.Fatalf("error %q", msg)
		}
		if textFault(msg) != "" {
			t.Fatalf("error %q cannot be logged", msg)
		}
		if e.Line > lines || e.Line != 0 && e.Line < last || e.Line != 0 && last == 1<<30 {
			t.Fatalf("line %d after %d, in a table of %d", e.Line, last, lines)
		}
		last = e.Line
		if last == 0 {
			last = 1 << 30
		}
	}
}

// FuzzPattern: nothing panics; a pattern is one word of a table and parses
// again; an IPv4 host and the same as IPv4-mapped IPv6 are one.
func FuzzPattern(f *testing.F) {
	for _, s := range []string{"*", "10.*", "1*.3", "192.0.2.0/24", "2001:db8:*", "::ffff:1.2.3.4", "*.example.com", "unknown", "a*b*c", "1:2:3:4:5:6:7:*"} {
		f.Add(s, "10.1.2.3", "mail.example.com")
	}
	f.Fuzz(func(t *testing.T, s, addr, name string) {
		p, err := ParsePattern(s)
		if err != nil {
			if p != (Pattern{}) || p.Match(Host{Name: name}) || textFault(err.Error()) != "" {
				t.Fatalf("%q: %v and error %q", s, p, err)
			}
			return
		}
		if p.String() != s || quoteWord(s) != s {
			t.Fatalf("%q became %q, written %s", s, p, quoteWord(s))
		}
		h := Host{Name: name}
		h.Addr, _ = netip.ParseAddr(addr)
		got := p.Match(h)
		if h.Addr.Is4() {
			mapped := Host{Addr: netip.AddrFrom16(h.Addr.As16()), Name: name}
			if p.Match(mapped) != got {
				t.Fatalf("%q matches %s and %s differently", s, h.Addr, mapped.Addr)
			}
		}
		if p.IsName() {
			if want := slowGlob(strings.TrimSuffix(strings.ToLower(s), "."), asName(name)); got != want {
				t.Fatalf("%q matches %q: %t", s, name, got)
			}
			return
		}
		if p.Match(Host{Addr: h.Addr}) != got {
			t.Fatalf("%q looks at the name %q", s, name)
		}
	})
}

// asName is the name that patterns see.
func asName(name string) string {
	b := []byte(strings.TrimSuffix(name, "."))
	for i := range b {
		b[i] = toLower(b[i])
	}
	if len(b) == 0 {
		return "unknown"
	}
	return string(b)
}

// slowGlob is globMatch as one would define it.
func slowGlob(pattern, s string) bool {
	parts := strings.Split(pattern, "*")
	if len(parts) == 1 {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, parts[0])
	for _, part := range parts[1 : len(parts)-1] {
		i := strings.Index(s, part)
		if i < 0 {
			return false
		}
		s = s[i+len(part):]
	}
	return ok && strings.HasSuffix(s, parts[len(parts)-1])
}
