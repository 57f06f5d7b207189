package main

import (
	"debug/buildinfo"
	"os"
	"runtime/debug"
	"slices"
	"testing"
)

// TestBill: the test program itself is listed, with the standard library that it links.
func TestBill(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := newBill("v1.2.3", "2026-01-02T03:04:05Z", []string{self})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Components) != 2 || b.Components[0].Version != "v1.2.3" || b.Components[1].Name != "std" {
		t.Errorf("components are %+v", b.Components)
	}
	if len(b.Dependencies) != 2 || !slices.Equal(b.Dependencies[1].DependsOn, []string{b.Components[1].Ref}) {
		t.Errorf("dependencies are %+v", b.Dependencies)
	}
	if _, err := newBill("v1.2.3", "", []string{"main.go"}); err == nil {
		t.Error("a file that is no program has a bill")
	}
}

func TestLinked(t *testing.T) {
	info := &buildinfo.BuildInfo{GoVersion: "go1.26.0"}
	info.Deps = append(info.Deps, &debug.Module{Path: "a.test/old", Version: "v1.0.0",
		Replace: &debug.Module{Path: "a.test/new", Version: "v1.1.0", Sum: "h1:x="}})
	found := linked(info)
	if len(found) != 2 || found[0].URL != "pkg:golang/std@1.26.0" || found[1].URL != "pkg:golang/a.test/new@v1.1.0" {
		t.Fatalf("found %+v", found)
	}
	if p := found[1].Properties; len(p) != 1 || p[0] != (property{"go:sum", "h1:x="}) {
		t.Errorf("properties %+v", p)
	}
}

func TestRunRefuses(t *testing.T) {
	for _, args := range [][]string{nil, {"v1", "2026-01-02T03:04:05Z"}, {"v1", "yesterday", "x"}, {"v1", "2026-01-02T03:04:05Z", "nothing"}} {
		if run(args) == nil {
			t.Errorf("%q was taken", args)
		}
	}
}
