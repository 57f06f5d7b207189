package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// reference is a file of ours in a document, such as `courier/loop.go: run`, with the names that it declares.
var reference = regexp.MustCompile("`([a-z_/0-9]+\\.go)(?:: ([A-Za-z, ]+))?`")

// missing are the files and names of a text that the tree does not have, and how many were looked for.
func missing(text string) (gone []string, looked int) {
	for _, m := range reference.FindAllStringSubmatch(text, -1) {
		looked++
		f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, m[1]), nil, parser.SkipObjectResolution)
		if err != nil {
			gone = append(gone, m[1])
			continue
		}
		has := declared(f)
		for name := range strings.SplitSeq(m[2], ", ") {
			if name != "" && !has[name] {
				gone = append(gone, m[1]+": "+name)
			}
		}
	}
	return gone, looked
}

// declared are the functions, methods and types of a file.
func declared(f *ast.File) map[string]bool {
	has := map[string]bool{}
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			has[d.Name.Name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				if t, ok := spec.(*ast.TypeSpec); ok {
					has[t.Name.Name] = true
				}
			}
		}
	}
	return has
}

func document(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestArchitecture: every file, function and type that ARCHITECTURE.md names exists.
func TestArchitecture(t *testing.T) {
	gone, looked := missing(document(t, "ARCHITECTURE.md"))
	if looked < 30 {
		t.Fatalf("only %d references were found", looked)
	}
	for _, g := range gone {
		t.Errorf("ARCHITECTURE.md names %s, which does not exist", g)
	}
}

// TestArchitectureNotices plants a file and a function that do not exist.
func TestArchitectureNotices(t *testing.T) {
	gone, _ := missing("`courier/nothing.go: run` and `courier/loop.go: run, walk`")
	if strings.Join(gone, "; ") != "courier/nothing.go; courier/loop.go: walk" {
		t.Errorf("missing: %q", gone)
	}
}

// TestReach: every package of ours that smap's processes are built from is in ARCHITECTURE.md's table, whose script counts
// their lines.
func TestReach(t *testing.T) {
	_, table, ok := strings.Cut(document(t, "ARCHITECTURE.md"), "## What strangers reach\n")
	table, _, _ = strings.Cut(table, "\n## ")
	if !ok || !strings.Contains(table, "`.ci/reach`") {
		t.Fatal("ARCHITECTURE.md does not name the script that counts")
	}
	said := map[string]bool{}
	for line := range strings.Lines(table) {
		if cells := strings.Split(line, "|"); len(cells) == 4 {
			for name := range strings.SplitSeq(cells[1], ",") {
				said[strings.TrimSpace(name)] = true
			}
		}
	}
	list := exec.Command("go", "list", "-deps", "./cmd/smap", "./courier")
	list.Dir = root
	list.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64")
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		name, ours := strings.CutPrefix(strings.TrimSpace(line), "smap/")
		if ours && !said[name] {
			t.Errorf("%s runs in smap or smapd, and is not in ARCHITECTURE.md's table", name)
		}
		delete(said, name)
	}
	for name := range said {
		if info, err := fs.Stat(os.DirFS(root), name); name != "package" && name != "---" && (err != nil || !info.IsDir()) {
			t.Errorf("ARCHITECTURE.md's table has %s, which does not exist", name)
		}
	}
}
