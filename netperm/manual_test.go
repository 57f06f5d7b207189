package netperm

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestManual holds netperm-table(5) against the clauses: how each is written,
// who reads it, and its default, each exactly once.
func TestManual(t *testing.T) {
	page, err := os.ReadFile("../man/netperm-table.5")
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string) // usage: the line after it
	for _, e := range clauses {
		what := "default " + e.standard
		if e.standard == "" {
			what = "without it: " + e.note
		}
		want[e.usage] = fmt.Sprintf(".Pq %s; %s", strings.Join(e.programs, " and "), what)
	}
	lines := strings.Split(string(page), "\n")
	for i, line := range lines {
		item, ok := strings.CutPrefix(line, ".It Ic ")
		if !ok {
			continue
		}
		usage := strings.NewReplacer(" Ar ", " ", " Ic ", " ").Replace(item)
		switch next, known := want[usage]; {
		case !known:
			t.Errorf("line %d: %q is no clause, or repeated", i+1, usage)
		case lines[i+1] != next:
			t.Errorf("%s: the page has %q, the code %q", usage, lines[i+1], next)
		}
		delete(want, usage)
	}
	for usage := range want {
		t.Errorf("the page lacks %q", usage)
	}
}
