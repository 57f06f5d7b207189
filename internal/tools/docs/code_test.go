package docs

import (
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

// calls calls f for every call of a method or of a package's function, and tells
// in which function it stands.
func calls(all []*ast.File, f func(method string, args []ast.Expr, in ast.Decl)) {
	for _, file := range all {
		for _, decl := range file.Decls {
			ast.Inspect(decl, func(n ast.Node) bool {
				if c, ok := n.(*ast.CallExpr); ok {
					if s, ok := c.Fun.(*ast.SelectorExpr); ok {
						f(s.Sel.Name, c.Args, decl)
					}
				}
				return true
			})
		}
	}
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

// facts are the keys of each event.
type facts map[string][]string

func (f facts) add(event string, keys ...string) {
	have := f[event]
	for _, k := range keys {
		if !slices.Contains(have, k) {
			have = append(have, k)
		}
	}
	f[event] = have
}

// events finds the log events of some packages: calls of a logger's methods, and
// of the few functions that put a word before an event.
func events(t *testing.T, dirs ...string) facts {
	t.Helper()
	found := make(facts)
	prefix := map[string]string{"alarm": "securityalert: ", "trouble": "fwtksyserr: ", "Info": "", "Warn": "", "Error": "", "info": "", "warn": ""}
	calls(files(t, dirs...), func(method string, args []ast.Expr, in ast.Decl) {
		before, ok := prefix[method]
		if !ok || len(args) == 0 {
			return
		}
		event, ok := text(args[0])
		if !ok || method == "trouble" && slices.Contains(dirs, "courier") {
			return // the name is put together: the page describes the prefix; courier's trouble is an event itself
		}
		keys := loggedKeys(args[1:])
		if len(args) > 1 && appended(args[len(args)-1]) {
			keys = attributes(in)
		}
		if method == "trouble" {
			keys = []string{"error"}
		}
		found.add(before+event, keys...)
	})
	if len(found) == 0 {
		t.Fatalf("no events in %v", dirs)
	}
	return found
}

// loggedKeys are the keys among a logging call's arguments: every other one, or
// the first of each attribute.
func loggedKeys(args []ast.Expr) []string {
	var keys []string
	for i := 0; i < len(args); i++ {
		switch a := args[i].(type) {
		case *ast.BasicLit:
			if key, ok := text(a); ok {
				keys = append(keys, key)
				i++ // its value
			}
		case *ast.CallExpr:
			if key, ok := attribute(a); ok {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// appended tells whether an argument is a list that is put together before.
func appended(e ast.Expr) bool {
	c, ok := e.(*ast.CallExpr)
	if !ok {
		return false
	}
	name, ok := c.Fun.(*ast.Ident)
	return ok && name.Name == "append"
}

// attributes are the keys of all attributes that a function makes.
func attributes(in ast.Decl) []string {
	var keys []string
	ast.Inspect(in, func(n ast.Node) bool {
		if c, ok := n.(*ast.CallExpr); ok {
			if s, ok := c.Fun.(*ast.SelectorExpr); ok && (s.Sel.Name == "String" || s.Sel.Name == "Int") && len(c.Args) == 2 {
				if key, ok := text(c.Args[0]); ok {
					keys = append(keys, key)
				}
			}
		}
		return true
	})
	return keys
}

// attribute is the key of slog.String("key", ...) and of courier's own makers of
// attributes, which name it or are named after it.
func attribute(c *ast.CallExpr) (string, bool) {
	if len(c.Args) > 0 {
		if key, ok := text(c.Args[0]); ok {
			return key, true
		}
	}
	if name, ok := c.Fun.(*ast.Ident); ok {
		own := map[string]string{"text": "text", "millis": "ms"}
		key, ok := own[name.Name]
		return key, ok
	}
	return "", false
}

// flags finds the command line options of a program that uses package flag.
// Those without a text are internal.
func flags(t *testing.T, dir string) []string {
	t.Helper()
	var found []string
	calls(files(t, dir), func(method string, args []ast.Expr, _ ast.Decl) {
		name, usage := 1, len(args)-1
		switch method {
		case "StringVar", "BoolVar", "IntVar", "DurationVar":
		case "Func":
			name, usage = 0, 1
		case "Bool", "String", "Int", "Duration":
			name = 0
		default:
			return
		}
		if len(args) < 2 {
			return
		}
		flag, ok := text(args[name])
		words, said := text(args[usage])
		if ok && said && words != "" && !strings.HasPrefix(words, "internal:") {
			found = append(found, flag)
		}
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
	said, has = slices.Clone(said), slices.Clone(has)
	slices.Sort(said)
	slices.Sort(has)
	for _, s := range said {
		if !slices.Contains(has, s) {
			t.Errorf("%s: %q is in the page, and not in the code", what, s)
		}
	}
	for _, s := range has {
		if !slices.Contains(said, s) {
			t.Errorf("%s: %q is in the code, and not in the page", what, s)
		}
	}
	if len(slices.Compact(said)) != len(said) {
		t.Errorf("%s: twice in the page: %q", what, said)
	}
}
