package netperm

import (
	"errors"
	"fmt"
	"net/netip"
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
	for clause, want := range map[IntClause]int64{MaxBytes: 52428800, MaxRecip: 1000, MaxErrors: 10, MinFree: 64 << 20,
		MaxSessions: 500, MaxPerClient: 50, MinRate: 100} {
		if got := smap.Int(clause); got != want {
			t.Errorf("Int(%s) = %d, want %d", clause, got, want)
		}
	}
	smapd := parse(t, "smapd", "smapd: directory /d\nsmapd: retry 60 1h\n")
	for clause, want := range map[DurationClause]time.Duration{Wakeup: time.Minute, AgentTimeout: 10 * time.Minute,
		MaxAge: 5 * 24 * time.Hour} {
		if got := smapd.Duration(clause); got != want {
			t.Errorf("Duration(%s) = %s, want %s", clause, got, want)
		}
	}
	for clause, want := range map[StringClause]string{Sandbox: "best", Log: "", BadAdmin: "postmaster", Directory: "/d"} {
		if got := smapd.String(clause); got != want {
			t.Errorf("String(%s) = %q, want %q", clause, got, want)
		}
	}
	if got := fmt.Sprint(smapd.Durations(Retry), smap.Durations(Retry)); got != "[1m0s 1h0m0s] []" {
		t.Errorf("Durations: %s", got)
	}
	if smap.Bool(Names) || smap.Has(Names) || smap.Words(Sendmail) != nil {
		t.Error("a default is not what it should be")
	}
}

// TestNames: every constant is the place of its own entry, and its type is the
// accessor for values of that kind.
func TestNames(t *testing.T) {
	types := map[kind]Clause{
		kindUser: StringClause(0), kindGroup: StringClause(0), kindDir: StringClause(0), kindFile: StringClause(0),
		kindOutput: StringClause(0), kindProgram: StringClause(0), kindChoice: StringClause(0), kindHostname: StringClause(0),
		kindAddress: StringClause(0), kindCommand: WordsClause(0), kindWords: WordsClause(0), kindSet: WordsClause(0),
		kindInt: IntClause(0), kindSize: IntClause(0), kindSeconds: DurationClause(0), kindSchedule: DurationsClause(0),
		kindLines: LinesClause(0),
		kindBool:  BoolClause(0), kindDomains: DomainsClause(0), kindPatterns: PatternsClause(0), kindPermit: permitClause(0),
	}
	for i, e := range clauses {
		if e.id == nil || e.id.index() != i {
			t.Errorf("%s is at %d, its constant says %v", e.name, i, e.id)
			continue
		}
		if got, want := fmt.Sprintf("%T", e.id), fmt.Sprintf("%T", types[e.kind]); got != want {
			t.Errorf("%s is a %s, want %s", e.name, got, want)
		}
		if e.id.String() != e.name {
			t.Errorf("%s calls itself %s", e.name, e.id)
		}
	}
}

func TestErrorf(t *testing.T) {
	table := parse(t, "smap", "smap: directory /d\nsmap: \\\n tls-cert /c\nsmap: tls-key /k\n")
	err := table.Errorf(TLSKey, "no key: %w", os.ErrNotExist)
	if got := err.Error(); got != "netperm-table:4: tls-key: no key: file does not exist" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%q", got)
	}
	if got := table.Errorf(Names, "x").Error(); got != "netperm-table: names: x" {
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
		if successor(c.name) || successor(c.spelled(true)) {
			t.Errorf("%s is known and a successor's", c.name)
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
	for _, c := range clauses {
		if seen[c.name] || c.name == "" || c.usage == "" || len(c.programs) == 0 {
			t.Errorf("clause %+v", c)
		}
		seen[c.name] = true
		if c.standard == "" && c.note == "" {
			t.Errorf("%s says nothing of a table without it", c.name)
		}
		if c.standard != "" {
			if reason := c.check([]string{c.standard}); reason != "" {
				t.Errorf("default of %s: %s", c.name, reason)
			}
		}
		if numeric := c.kind == kindInt || c.kind == kindSize || c.kind == kindSeconds || c.kind == kindSchedule; numeric != (c.most > c.least) {
			t.Errorf("%s is from %d to %d", c.name, c.least, c.most)
		}
		if chosen := c.kind == kindChoice || c.kind == kindSet; chosen != (len(c.values) > 0) {
			t.Errorf("%s has values %q", c.name, c.values)
		}
		if !strings.Contains(c.usage, c.name) {
			t.Errorf("usage %q of %s", c.usage, c.name)
		}
	}
	table := parse(t, "smap", "smap: directory /d\nsmap: local-domains a.example\n")
	table.words(LocalDomains)[0] = "changed"
	if table.words(LocalDomains)[0] != "a.example" {
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

// TestDenied: an address is refused early only where no name could change that.
func TestDenied(t *testing.T) {
	for _, x := range []struct {
		rules string
		want  bool
	}{
		{"", false},
		{"smap: deny-hosts 192.0.2.0/24\n", true},
		{"smap: deny-hosts *\n", true},
		{"smap: deny-hosts 198.51.100.1\n", false},
		{"smap: permit-hosts 198.51.100.1\n", true},
		{"smap: permit-hosts 192.0.2.1\nsmap: deny-hosts *\n", false},
		{"smap: permit-hosts *.example.com\nsmap: deny-hosts *\n", false},
		{"smap: deny-hosts unknown\n", false},
		{"smap: deny-hosts 192.0.2.* *.example.com\n", true},
	} {
		table, err := Parse([]byte("smap: directory /x\nsmap: names yes\n"+x.rules), "table", Options{Program: "smap"})
		if err != nil {
			t.Fatal(err)
		}
		if got := table.Denied(netip.MustParseAddr("192.0.2.1")); got != x.want {
			t.Errorf("%q: %v", x.rules, got)
		}
	}
}

// TestLines: rules that may be written again come in order, each with its line.
func TestLines(t *testing.T) {
	table := parse(t, "smapd", "smapd: directory /d\nsmapd: agent lmtp 127.0.0.1:24\nsmapd: lane a exec /bin/a\n"+
		"smapd: lane b exec /bin/b\nsmapd: route b b.test\nsmapd: route a a.test .a.test\n")
	got := fmt.Sprint(table.Lines(Route))
	if want := "[{5 [b b.test]} {6 [a a.test .a.test]}]"; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// TestSpoolless: a check warns of a spool that does not exist, or is none.
func TestSpoolless(t *testing.T) {
	dir := t.TempDir()
	file := dir + "/file"
	write(t, file, "", 0o644)
	for path, want := range map[string]string{dir: "", dir + "/none": "no such file or directory; smapq init", file: "not a directory; smapq init"} {
		table := parse(t, "smap", "smap: directory "+path+"\n")
		got := ""
		if warnings := table.Spoolless(); len(warnings) > 0 {
			got = warnings[0].Error()
		}
		if (got == "") != (want == "") || !strings.Contains(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
}
