package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBuiltWithCgo: a smap that cannot be confined says so, when its table is
// checked and at the start.
func TestBuiltWithCgo(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("needs a C compiler")
	}
	dir := t.TempDir()
	_, table := install(t, dir, "")
	bin := filepath.Join(dir, "smap-cgo")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=1")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, args := range [][]string{{"-c", table, "-t"}, {"-c", table, "-log", "stderr"}} {
		cmd := exec.Command(bin, args...)
		cmd.Stdin = strings.NewReader("QUIT\r\n")
		out, err := cmd.CombinedOutput()
		if err != nil || !strings.Contains(string(out), "smap was built with cgo") {
			t.Errorf("%q: %v\n%s", args, err, out)
		}
	}
}
