package courier

import (
	"go/ast"
	"go/parser"
	"go/token"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// section returns the lines of a table in doc.go.
func section(t *testing.T, title string) [][]string {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), "doc.go", nil, parser.ParseComments)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(f.Doc.Text(), "# "+title+"\n")
	if !ok {
		t.Fatalf("doc.go has no section %q", title)
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

// attrHelpers are the functions of events.go that make an attribute of a fixed
// key.
var attrHelpers = map[string]string{"text": "text", "millis": "ms"}

// TestDocEvents holds the documented events and their keys against events.go.
func TestDocEvents(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "events.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	events, code := constants(f), map[string][]string{}
	for _, decl := range f.Decls {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok || fn.Recv == nil || fn.Name.Name == "info" || fn.Name.Name == "warn" {
			continue
		}
		name, keys := emitted(fn)
		event := events[name]
		if event == "" {
			t.Errorf("%s emits nothing", fn.Name.Name)
		}
		code[event] = keys
	}
	doc := map[string]bool{}
	for _, row := range section(t, "Log") {
		words := strings.Fields(strings.Join(row[:len(row)-1], " "))
		keys, ok := code[words[0]]
		if !ok {
			t.Errorf("doc.go has %s, events.go has not", words[0])
		}
		if !slices.Equal(words[1:], keys) {
			t.Errorf("%s: doc.go has the keys %v, events.go %v", words[0], words[1:], keys)
		}
		doc[words[0]] = true
	}
	for event := range code {
		if !doc[event] {
			t.Errorf("events.go has %s, doc.go has not", event)
		}
	}
}

// constants returns the values of a file's string constants.
func constants(f *ast.File) map[string]string {
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

// emitted returns the event's constant and the keys in a function of events.go,
// in their order.
func emitted(fn *ast.FuncDecl) (event string, keys []string) {
	ast.Inspect(fn.Body, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		var first string
		if len(call.Args) > 0 {
			if lit, ok := call.Args[0].(*ast.BasicLit); ok && lit.Kind == token.STRING {
				first, _ = strconv.Unquote(lit.Value)
			}
		}
		switch f := call.Fun.(type) {
		case *ast.Ident:
			if key := attrHelpers[f.Name]; key != "" {
				keys = append(keys, key)
			} else if f.Name == "address" {
				keys = append(keys, first)
			}
		case *ast.SelectorExpr:
			x, _ := f.X.(*ast.Ident)
			switch {
			case x == nil:
			case x.Name == "e" && (f.Sel.Name == "info" || f.Sel.Name == "warn"):
				if name, ok := call.Args[0].(*ast.Ident); ok {
					event = name.Name
				}
			case x.Name == "slog":
				keys = append(keys, first)
			}
		}
		return true
	})
	return event, keys
}
