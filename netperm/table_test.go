package netperm

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// bigTable is a table as a busy firewall might have: 200 rules, half of them
// for other programs.
func bigTable() []byte {
	var b strings.Builder
	b.WriteString("# a table of 200 rules\nsmap, smapd: userid 5\nsmap, smapd: directory /var/spool/smap\nsmap: timeout 3600\n")
	b.WriteString("smap: names yes\n")
	for i := range 98 {
		fmt.Fprintf(&b, "netacl-in.telnetd: permit-hosts 10.%d.* -exec \"/usr/local/etc/tn-gw\"\n", i)
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "smap:\tdeny-hosts 192.0.2.%d 198.51.%d.* # comment\n", i, i)
		case 1:
			fmt.Fprintf(&b, "smap:\tpermit-hosts *.dept%d.example.com 2001:db8:%d::/48\n", i, i)
		default:
			fmt.Fprintf(&b, "smap: local-domains d%d.example.com .d%d.example.net\n", i, i)
		}
	}
	return []byte(b.String())
}

func BenchmarkParse200(b *testing.B) {
	data := bigTable()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(data, "netperm-table", Options{Program: "smap", Root: true}); err != nil {
			b.Fatal(err)
		}
	}
}

func parse(t *testing.T, program, text string) *Table {
	t.Helper()
	table, err := Parse([]byte(text), "netperm-table", Options{Program: program})
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestDefaults(t *testing.T) {
	smap := parse(t, "smap", "smap: directory /d\n")
	for clause, want := range map[string]int64{"maxbytes": 52428800, "maxrecip": 1000, "maxerrors": 10, "minfree": 64 << 20,
		"maxsessions": 500, "maxperclient": 50, "min-rate": 100, "timeout": 0, "directory": 0, "none": 0} {
		if got := smap.Int(clause); got != want {
			t.Errorf("Int(%s) = %d, want %d", clause, got, want)
		}
	}
	smapd := parse(t, "smapd", "smapd: directory /d\nsmapd: retry 60 1h\n")
	for clause, want := range map[string]time.Duration{"wakeup": time.Minute, "agent-timeout": 10 * time.Minute,
		"maxage": 5 * 24 * time.Hour, "maxchildren": 0} {
		if got := smapd.Duration(clause); got != want {
			t.Errorf("Duration(%s) = %s, want %s", clause, got, want)
		}
	}
	for clause, want := range map[string]string{"sandbox": "best", "log": "", "badadmin": "postmaster", "none": "", "directory": "/d"} {
		if got := smapd.String(clause); got != want {
			t.Errorf("String(%s) = %q, want %q", clause, got, want)
		}
	}
	if got := fmt.Sprint(smapd.Durations("retry"), smap.Durations("retry"), smapd.Durations("maxage")); got != "[1m0s 1h0m0s] [] []" {
		t.Errorf("Durations: %s", got)
	}
	if smap.Bool("names") || smap.Bool("none") || smap.Bool("directory") || smap.Has("names") || smap.Words("sendmail") != nil {
		t.Error("a default is not what it should be")
	}
}

func TestErrorf(t *testing.T) {
	table := parse(t, "smap", "smap: directory /d\nsmap: \\\n tls-cert /c\nsmap: tls-key /k\n")
	err := table.Errorf("tls-key", "no key: %w", os.ErrNotExist)
	if got := err.Error(); got != "netperm-table:4: tls-key: no key: file does not exist" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%q", got)
	}
	if got := table.Errorf("names", "x").Error(); got != "netperm-table: names: x" {
		t.Errorf("%q", got)
	}
}

func TestErrors(t *testing.T) {
	_, err := Parse([]byte("smap: timeout x\nsmap: directory y\n"), "f", Options{Program: "smap"})
	if got := err.Error(); got != `f:1: timeout: "x" is not a number of seconds (and 1 more)` {
		t.Errorf("%q", got)
	}
	if all := Split(fmt.Errorf("wrapped: %w", err)); len(all) != 2 || all[1].Error() != `f:2: directory: "y" is not an absolute path` {
		t.Errorf("%q", all)
	}
	var one *Error
	if !errors.As(err, &one) || one.Line != 1 || one.Clause != "timeout" {
		t.Errorf("%+v", one)
	}
	if Split(nil) != nil || len(Split(os.ErrExist)) != 1 || (Errors{}).Error() == "" {
		t.Error("Split of what is no table's error")
	}
	many := strings.Repeat("smap: timeout x\n", 1000)
	if _, err := Parse([]byte(many), "f", Options{Program: "smap"}); len(err.(Errors)) != maxFaults+1 {
		t.Errorf("%d errors reported", len(err.(Errors)))
	}
	long := "smap: timeout " + strings.Repeat("x", 10000)
	if _, err := Parse([]byte(long), "f", Options{Program: "smap"}); len(err.Error()) > 200 {
		t.Errorf("an error of %d octets", len(err.Error()))
	}
}

// What an old table says of the clauses that we do not have must not be taken
// for a misspelling, nor shadow a clause that we do have.
func TestSuccessors(t *testing.T) {
	for i := range clauses {
		c := &clauses[i]
		if successor(c.Name) || successor(c.spelled(true)) {
			t.Errorf("%s is known and a successor's", c.Name)
		}
	}
	for word, want := range map[string]string{"maxbyte": "maxbytes", "mxabytes": "maxbytes", "deny-host": "deny-hosts",
		"userId": "userid", "directroy": "directory", "local-domain": "local-domains", strings.Repeat("x", 300): ""} {
		if got := nearest(word, "smap"); got != want && want != "" || got == "" {
			t.Errorf("nearest(%s) = %s, want %s", word, got, want)
		}
	}
	for _, d := range []struct {
		a, b string
		want int
	}{{"", "", 0}, {"abc", "", 3}, {"", "ab", 2}, {"abc", "abd", 1}, {"abc", "acb", 1}, {"kitten", "sitting", 3}, {"smapd", "smpad", 1}} {
		if got := distance(d.a, d.b); got != d.want {
			t.Errorf("distance(%q, %q) = %d, want %d", d.a, d.b, got, d.want)
		}
	}
}

// The table of clauses is itself right: names are single, defaults parse, what
// needs values or a range has them, and the number of programs is one or two.
func TestClauses(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range Clauses() {
		if seen[c.Name] || c.Name == "" || c.Meaning == "" || c.Usage == "" || len(c.Programs) == 0 {
			t.Errorf("clause %+v", c)
		}
		seen[c.Name] = true
		if c.Default == "" && c.Note == "" {
			t.Errorf("%s says nothing of a table without it", c.Name)
		}
		if c.Default != "" {
			if reason := c.check([]string{c.Default}); reason != "" {
				t.Errorf("default of %s: %s", c.Name, reason)
			}
		}
		if numeric := c.Kind == KindInt || c.Kind == KindSize || c.Kind == KindSeconds || c.Kind == KindSchedule; numeric != (c.Max > c.Min) {
			t.Errorf("%s is from %d to %d", c.Name, c.Min, c.Max)
		}
		if chosen := c.Kind == KindChoice || c.Kind == KindSet || c.Kind == KindAgent; chosen != (len(c.Values) > 0) {
			t.Errorf("%s has values %q", c.Name, c.Values)
		}
		if !strings.Contains(c.Usage, c.Name) {
			t.Errorf("usage %q of %s", c.Usage, c.Name)
		}
	}
	Clauses()[0].Name = "changed"
	if Clauses()[0].Name != "userid" {
		t.Error("a caller can change the clauses")
	}
	table := parse(t, "smap", "smap: directory /d\nsmap: local-domains a.example\n")
	table.Words("local-domains")[0] = "changed"
	if table.Words("local-domains")[0] != "a.example" {
		t.Error("a caller can change the table")
	}
}

// A pattern that takes exponential time would let an administrator's slip, or a
// client's name, stop the program.
func TestGlobIsQuick(t *testing.T) {
	p, err := ParsePattern(strings.Repeat("*a", 100) + "*b")
	if err != nil {
		t.Fatal(err)
	}
	start := time.Now()
	if p.Match(Host{Name: strings.Repeat("a", 5000)}) {
		t.Error("matched")
	}
	if d := time.Since(start); d > 5*time.Second {
		t.Errorf("took %s", d)
	}
}

func TestZeroPattern(t *testing.T) {
	if (Pattern{}).Match(Host{Name: "x"}) || (Pattern{}).IsName() || (Pattern{}).String() != "" {
		t.Error("the zero pattern is not nothing")
	}
}
