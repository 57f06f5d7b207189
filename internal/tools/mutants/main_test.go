package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestList: every mutant of the list can be made, in exactly one place. That the
// tests kill them is what `make mutants` finds out.
func TestList(t *testing.T) {
	text, err := os.ReadFile("list.txt")
	if err != nil {
		t.Fatal(err)
	}
	all, err := parse(string(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(all) < 50 {
		t.Errorf("%d mutants", len(all))
	}
	for i, m := range all {
		source, err := os.ReadFile(filepath.Join("../../..", m.file))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := m.apply(string(source)); err != nil {
			t.Errorf("mutant %d of %s: %v", i+1, m.file, err)
		}
	}
}

func TestParse(t *testing.T) {
	all, err := parse("# what this is\n\nx.go\n-a\n-b\n+c\nsurvives: so\n")
	if err != nil || len(all) != 1 || all[0] != (mutant{"x.go", "a\nb\n", "c\n", "so"}) {
		t.Errorf("%+v, %v", all, err)
	}
	for _, bad := range []string{"x.go\n", "x.go\n-a\n+a\n", "-a\n+b\n", "x.go\n-a\n+b\nwhat\n"} {
		if _, err := parse(bad); err == nil {
			t.Errorf("%q was taken", bad)
		}
	}
}

func TestApply(t *testing.T) {
	m := mutant{old: "a\n", new: "b\n"}
	if got, err := m.apply("x\na\ny\n"); err != nil || got != "x\nb\ny\n" {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"x\n", strings.Repeat("\na\n", 2)} {
		if _, err := m.apply(bad); err == nil {
			t.Errorf("applied to %q", bad)
		}
	}
}
