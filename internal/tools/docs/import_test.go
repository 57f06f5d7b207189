package docs

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestImport follows CONTRIBUTING.md: another module imports spoolfmt by the three lines that it gives.
func TestImport(t *testing.T) {
	_, rest, ok := strings.Cut(document(t, "CONTRIBUTING.md"), "## Using the packages from another module\n")
	if !ok {
		t.Fatal("CONTRIBUTING.md does not say how to import the packages")
	}
	var commands []string
	for line := range strings.Lines(rest) {
		if command, example := strings.CutPrefix(line, "    "); example {
			commands = append(commands, strings.TrimSpace(command))
		} else if len(commands) > 0 {
			break
		}
	}
	if len(commands) != 3 {
		t.Fatalf("CONTRIBUTING.md gives %q, want three lines", commands)
	}
	tree, err := filepath.Abs(root)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "mine")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(tree, filepath.Join(filepath.Dir(dir), "smap")); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"go.mod":  "module mine\n\ngo 1.26.0\n",
		"main.go": "package main\n\nimport \"smap/spoolfmt\"\n\nfunc main() { println(spoolfmt.New.String()) }\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, command := range commands {
		words := strings.Fields(command)
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=", "GOPROXY=off", "GOSUMDB=off") // nothing from the network
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", command, err, out)
		}
	}
}
