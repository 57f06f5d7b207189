package agent

import (
	"go/parser"
	"go/token"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"smap/internal/sysexits"
)

// section returns the lines of a table in agent.go.
func section(t *testing.T, title string) [][]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "agent.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(f.Doc.Text(), "# "+title+"\n")
	if !ok {
		t.Fatalf("agent.go has no section %q", title)
	}
	rest, _, _ = strings.Cut(rest, "\n# ")
	columns := regexp.MustCompile(` {2,}`)
	var table [][]string
	for line := range strings.Lines(rest) {
		if line, ok := strings.CutPrefix(line, "\t"); ok {
			table = append(table, columns.Split(strings.TrimSpace(line), -1))
		}
	}
	if len(table) == 0 {
		t.Fatalf("section %q has no table", title)
	}
	return table
}

// TestDocExitCodes holds the documented table against what all 256 codes mean.
func TestDocExitCodes(t *testing.T) {
	named := map[int]string{}
	for _, row := range section(t, "Exit codes") {
		if row[0] == "*" {
			if row[1] != Retry.String() {
				t.Errorf("%v", row)
			}
			continue
		}
		code, err := strconv.Atoi(row[0])
		if err != nil {
			t.Fatal(err)
		}
		named[code] = row[1]
		if len(row) > 2 && strings.HasPrefix(row[2], "EX_") && row[2] != sysexits.Name(code) {
			t.Errorf("%v: the name is %s", row, sysexits.Name(code))
		}
	}
	for code := range 256 {
		want := Retry.String()
		if s, ok := named[code]; ok {
			want = s
		}
		if got := ExitOutcome(code).String(); got != want {
			t.Errorf("exit %d means %s, agent.go says %s", code, got, want)
		}
		class := map[Outcome]string{Delivered: "2", Failed: "5", Retry: "4"}[ExitOutcome(code)]
		if !strings.HasPrefix(exitStatus(code), class+".") {
			t.Errorf("exit %d: status %s", code, exitStatus(code))
		}
	}
	for _, code := range []int{-1, 256, 1 << 20} {
		if ExitOutcome(code) != Retry {
			t.Errorf("exit %d is not retry", code)
		}
	}
}
