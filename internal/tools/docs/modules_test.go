package docs

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestModules holds the table of modules in CONTRIBUTING.md against go.mod and
// the imports: every module that go.mod names for our own sake has a row, which
// says whether programs link it, tests only, or nothing.
func TestModules(t *testing.T) {
	direct, tools := required(t)
	has := make(map[string]string)
	for _, m := range direct {
		has[m] = whereImported(t, m)
	}
	for _, m := range tools {
		has[m] = "tool"
	}
	if len(direct) == 0 || len(tools) == 0 {
		t.Fatalf("go.mod was not understood: %q, %q", direct, tools)
	}
	said := moduleTable(t)
	for m, where := range has {
		if said[m] != where {
			t.Errorf("%s: CONTRIBUTING.md says %q, the code %q", m, said[m], where)
		}
		delete(said, m)
	}
	for m := range said {
		t.Errorf("%s: CONTRIBUTING.md has it, go.mod does not", m)
	}
}

// required reads go.mod: modules that we import, and modules of tools.
func required(t *testing.T) (direct, tools []string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "go.mod"))
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require "))
		switch {
		case len(words) == 2 && words[0] == "tool":
			i := slices.IndexFunc(all, func(m string) bool { return strings.HasPrefix(words[1], m+"/") })
			if i < 0 {
				t.Fatalf("no module has the tool %s", words[1])
			}
			tools = append(tools, all[i])
		case len(words) >= 2 && strings.HasPrefix(words[1], "v"):
			all = append(all, words[0])
			if len(words) == 2 { // no "// indirect"
				direct = append(direct, words[0])
			}
		}
	}
	return direct, tools
}

// whereImported is "programs", "tests", which internal/scripttest and internal/systest belong to, or
// "" where nothing imports a module.
func whereImported(t *testing.T, module string) string {
	t.Helper()
	where := ""
	err := filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || where == "programs" || !strings.HasSuffix(path, ".go") {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		for _, spec := range f.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if name != module && !strings.HasPrefix(name, module+"/") {
				continue
			}
			where = "tests"
			if !onlyForTests(path) {
				where = "programs"
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return where
}

// onlyForTests tells whether no program can import a file.
func onlyForTests(path string) bool {
	return strings.HasSuffix(path, "_test.go") || strings.Contains(path, "internal/scripttest/") || strings.Contains(path, "internal/systest/")
}

// moduleTable reads the rows of CONTRIBUTING.md's table: where each module is used.
func moduleTable(t *testing.T) map[string]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "CONTRIBUTING.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, table, ok := strings.Cut(string(text), "| --- | --- | --- | --- |\n")
	if !ok {
		t.Fatal("CONTRIBUTING.md has no table of modules")
	}
	rows := make(map[string]string)
	for line := range strings.Lines(table) {
		cells := strings.Split(line, "|")
		if len(cells) != 6 {
			break
		}
		name, where := strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])
		if _, twice := rows[name]; twice || strings.TrimSpace(cells[3]) == "" {
			t.Errorf("%s: twice, or without a reason", name)
		}
		rows[name] = where
	}
	return rows
}
