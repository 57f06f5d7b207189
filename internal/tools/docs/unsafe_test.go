package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// loose finds pointers that are made into numbers for a function other than a system call: what such a number points to
// can move before the kernel sees it.
func loose(set *token.FileSet, f *ast.File) []string {
	var found []string
	ast.Inspect(f, func(n ast.Node) bool {
		c, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		if s, ok := c.Fun.(*ast.SelectorExpr); ok && strings.Contains(s.Sel.Name, "Syscall") {
			return true
		}
		for _, a := range c.Args {
			if isNumberOfPointer(a) {
				found = append(found, set.Position(a.Pos()).String())
			}
		}
		return true
	})
	return found
}

// isNumberOfPointer tells whether an expression is uintptr(unsafe.Pointer(...)).
func isNumberOfPointer(e ast.Expr) bool {
	c, ok := e.(*ast.CallExpr)
	if !ok || len(c.Args) != 1 {
		return false
	}
	name, ok := c.Fun.(*ast.Ident)
	p, okp := c.Args[0].(*ast.CallExpr)
	if !ok || !okp || name.Name != "uintptr" {
		return false
	}
	s, ok := p.Fun.(*ast.SelectorExpr)
	return ok && s.Sel.Name == "Pointer"
}

// TestPointersInCalls holds the whole tree to the rule of package unsafe: a pointer becomes a number in the call itself.
func TestPointersInCalls(t *testing.T) {
	set := token.NewFileSet()
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		f, err := parser.ParseFile(set, path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		for _, at := range loose(set, f) {
			t.Errorf("%s: a pointer becomes a number for a function that is no system call", at)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPointersInCallsNotices(t *testing.T) {
	set := token.NewFileSet()
	f, err := parser.ParseFile(set, "x.go", `package x
func a() { unix.RawSyscall(1, uintptr(unsafe.Pointer(&b)), 0, 0) }
func c() { helper(1, uintptr(unsafe.Pointer(&b)), uintptr(4)) }`, 0)
	if err != nil {
		t.Fatal(err)
	}
	if got := loose(set, f); len(got) != 1 || !strings.HasPrefix(got[0], "x.go:3:") {
		t.Errorf("%q", got)
	}
}
