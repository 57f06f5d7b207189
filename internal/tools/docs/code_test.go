package docs

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// root is the top of the repository.
const root = "../../.."

// files parses the Go files of directories, tests left out, for all systems.
func files(t *testing.T, dirs ...string) []*ast.File {
	t.Helper()
	var all []*ast.File
	set := token.NewFileSet()
	for _, dir := range dirs {
		names, err := filepath.Glob(filepath.Join(root, dir, "*.go"))
		if err != nil || len(names) == 0 {
			t.Fatalf("no Go files in %s: %v", dir, err)
		}
		for _, name := range names {
			if strings.HasSuffix(name, "_test.go") {
				continue
			}
			f, err := parser.ParseFile(set, name, nil, 0)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, f)
		}
	}
	return all
}

// declarations calls f for every function, and for every other declaration.
func declarations(all []*ast.File, f func(ast.Decl)) {
	for _, file := range all {
		for _, decl := range file.Decls {
			f(decl)
		}
	}
}

// calls calls f for every call of a method or of a package's function in a node.
func calls(in ast.Node, f func(c *ast.CallExpr, method string)) {
	ast.Inspect(in, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			if s, ok := c.Fun.(*ast.SelectorExpr); ok {
				f(c, s.Sel.Name)
			}
		}
		return true
	})
}

// text is a string constant's value.
func text(e ast.Expr) (string, bool) {
	lit, ok := e.(*ast.BasicLit)
	if !ok || lit.Kind != token.STRING {
		return "", false
	}
	s, err := strconv.Unquote(lit.Value)
	return s, err == nil
}

// flags finds the command line options of a program that uses package flag.
// Those without a text are internal.
func flags(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	declarations(files(t, dir), func(decl ast.Decl) {
		calls(decl, func(c *ast.CallExpr, method string) {
			name, usage := 1, len(c.Args)-1
			switch method {
			case "StringVar", "BoolVar", "IntVar", "DurationVar":
			case "Func":
				name, usage = 0, 1
			case "Bool", "String", "Int", "Duration":
				name = 0
			default:
				return
			}
			if len(c.Args) < 2 {
				return
			}
			flag, ok := text(c.Args[name])
			words, said := text(c.Args[usage])
			if ok && said && words != "" && !strings.HasPrefix(words, "internal:") {
				found = append(found, flag)
			}
		})
	})
	slices.Sort(found)
	if len(found) == 0 {
		t.Fatalf("no options in %s", dir)
	}
	return found
}

// exitCodes finds the exit codes that a program uses: the constants of package
// sysexits, and constants of its own whose names begin with "ex" and
// whose values are numbers.
func exitCodes(t *testing.T, dir string) []string {
	t.Helper()
	shared := constants(t, "internal/sysexits")
	var found []string
	for _, f := range files(t, dir) {
		ast.Inspect(f, func(n ast.Node) bool {
			if sel, ok := n.(*ast.SelectorExpr); ok {
				if x, ok := sel.X.(*ast.Ident); ok && x.Name == "sysexits" && shared[sel.Sel.Name] != "" {
					found = append(found, shared[sel.Sel.Name])
				}
			}
			return true
		})
	}
	for name, value := range constants(t, dir) {
		if strings.HasPrefix(name, "ex") {
			found = append(found, value)
		}
	}
	slices.Sort(found)
	if len(found) == 0 {
		t.Fatalf("no exit codes in %s", dir)
	}
	return slices.Compact(found)
}

// constants returns the constants of a package whose value is a literal number.
func constants(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := make(map[string]string)
	for _, f := range files(t, dir) {
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			if lit, ok := spec.Values[0].(*ast.BasicLit); ok && lit.Kind == token.INT {
				found[spec.Names[0].Name] = lit.Value
			}
			return true
		})
	}
	return found
}

// page reads a manual page.
func page(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(root, "man", name))
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(string(data), "\n")
}

// section returns the lines of a page between a heading, such as "Sh EXAMPLES"
// or "Ss smapd", and the next of its kind.
func section(t *testing.T, lines []string, heading string) []string {
	t.Helper()
	kind, _, _ := strings.Cut(heading, " ")
	begin := slices.Index(lines, "."+heading)
	if begin < 0 {
		t.Fatalf("no .%s", heading)
	}
	rest := lines[begin+1:]
	end := slices.IndexFunc(rest, func(l string) bool {
		return strings.HasPrefix(l, "."+kind+" ") || strings.HasPrefix(l, ".Sh ")
	})
	if end < 0 {
		end = len(rest)
	}
	return rest[:end]
}

// items returns what stands in a list's items of one macro: for "Fl", the
// words after ".It Fl".
func items(lines []string, macro string) []string {
	var found []string
	for _, l := range lines {
		if rest, ok := strings.CutPrefix(l, ".It "+macro+" "); ok {
			found = append(found, rest)
		}
	}
	return found
}

// same compares what a page says with what the code has.
func same(t *testing.T, what string, said, has []string) {
	t.Helper()
	for _, d := range differences(said, has) {
		t.Errorf("%s: %s", what, d)
	}
}

// differences are what a page says and the code lacks, the reverse, and what the
// page says twice.
func differences(said, has []string) []string {
	said, has = slices.Sorted(slices.Values(said)), slices.Sorted(slices.Values(has))
	var found []string
	for _, s := range said {
		if !slices.Contains(has, s) {
			found = append(found, fmt.Sprintf("%q is in the page, and not in the code", s))
		}
	}
	for _, s := range has {
		if !slices.Contains(said, s) {
			found = append(found, fmt.Sprintf("%q is in the code, and not in the page", s))
		}
	}
	if len(slices.Compact(slices.Clone(said))) != len(said) {
		found = append(found, fmt.Sprintf("twice in the page: %q", said))
	}
	return found
}
