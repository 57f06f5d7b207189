package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// TestDocEvents holds the documented events and their keys against every log
// line of this program and of the package that keeps its child.
func TestDocEvents(t *testing.T) {
	code := map[string]map[string]bool{}
	fset := token.NewFileSet()
	for _, dir := range []string{".", "../../internal/supervise"} {
		files, err := filepath.Glob(dir + "/*.go")
		if err != nil || len(files) == 0 {
			t.Fatalf("no files in %s: %v", dir, err)
		}
		events := constants(t, fset, dir+"/events.go")
		for _, name := range files {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(fset, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			ast.Inspect(f, func(n ast.Node) bool { logCall(t, fset, n, events, code); return true })
		}
	}
	doc := documented(t, fset)
	for event, keys := range code {
		want := slices.Sorted(maps.Keys(keys))
		if got, ok := doc[event]; !ok || !slices.Equal(got, want) {
			t.Errorf("%s: the code has the keys %v, doc.go %v (%v)", event, want, got, ok)
		}
		delete(doc, event)
	}
	for event := range doc {
		t.Errorf("doc.go has %s, the code has not", event)
	}
}

// documented reads the table in doc.go.
func documented(t *testing.T, fset *token.FileSet) map[string][]string {
	t.Helper()
	f, err := parser.ParseFile(fset, "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	doc := map[string][]string{}
	columns := regexp.MustCompile(` {2,}`)
	for line := range strings.Lines(f.Doc.Text()) {
		line, ok := strings.CutPrefix(line, "\t")
		if row := columns.Split(strings.TrimSpace(line), -1); ok && len(row) == 3 {
			doc[row[0]] = slices.Sorted(strings.FieldsSeq(row[1]))
		} else if ok {
			t.Errorf("not a row of the table: %q", line)
		}
	}
	if len(doc) == 0 {
		t.Fatal("doc.go has no table")
	}
	return doc
}

// constants returns the values of a file's string constants.
func constants(t *testing.T, fset *token.FileSet, name string) map[string]string {
	t.Helper()
	f, err := parser.ParseFile(fset, name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]string{}
	ast.Inspect(f, func(n ast.Node) bool {
		if c, ok := n.(*ast.ValueSpec); ok && len(c.Values) == 1 {
			if lit, ok := c.Values[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				found[c.Names[0].Name], _ = strconv.Unquote(lit.Value)
			}
		}
		return true
	})
	return found
}

// logCall takes in a call of a logger: ...Info(eventX, "key", value, ...).
func logCall(t *testing.T, fset *token.FileSet, n ast.Node, events map[string]string, logged map[string]map[string]bool) {
	call, ok := n.(*ast.CallExpr)
	if !ok || len(call.Args) == 0 {
		return
	}
	f, ok := call.Fun.(*ast.SelectorExpr)
	if !ok || !slices.Contains([]string{"Info", "Warn", "Error"}, f.Sel.Name) {
		return
	}
	word := func(e ast.Expr) string {
		lit, ok := e.(*ast.BasicLit)
		if !ok {
			t.Errorf("%s: not a literal, so nobody can look it up", fset.Position(e.Pos()))
			return ""
		}
		s, err := strconv.Unquote(lit.Value)
		if err != nil {
			t.Error(err)
		}
		return s
	}
	name, ok := call.Args[0].(*ast.Ident)
	if !ok || events[name.Name] == "" {
		t.Errorf("%s: not a constant of events.go", fset.Position(call.Args[0].Pos()))
		return
	}
	event := events[name.Name]
	if logged[event] == nil {
		logged[event] = map[string]bool{}
	}
	for i := 1; i < len(call.Args); i += 2 {
		logged[event][word(call.Args[i])] = true
	}
}
