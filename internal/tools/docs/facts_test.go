package docs

import (
	"go/ast"
	"go/types"
	"slices"
	"strings"
)

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

// eventArgument is the place of the event among the arguments of a logger's methods.
func eventArgument() map[string]int {
	return map[string]int{
		"Debug": 0, "Info": 0, "Warn": 0, "Error": 0, "Log": 2, "LogAttrs": 2,
		"DebugContext": 1, "InfoContext": 1, "WarnContext": 1, "ErrorContext": 1,
	}
}

// logCalls returns the facts of the events that a package logs, and the log calls
// whose event is not one of its constants. A function whose first parameter is
// named event logs that event.
func logCalls(all []*ast.File, events map[string]string) (logged facts, wrong []string) {
	logged = make(facts)
	place := eventArgument()
	declarations(all, func(decl ast.Decl) {
		fn, ok := decl.(*ast.FuncDecl)
		if !ok {
			return
		}
		if p := fn.Type.Params.List; len(p) > 0 && len(p[0].Names) > 0 && p[0].Names[0].Name == "event" {
			place[fn.Name.Name] = 0
		}
	})
	declarations(all, func(decl ast.Decl) {
		calls(decl, func(c *ast.CallExpr, method string) {
			at, ok := place[method]
			if !ok || len(c.Args) <= at {
				return
			}
			name, ok := c.Args[at].(*ast.Ident)
			switch {
			case ok && name.Name == "event": // the caller's
			case ok && events[name.Name] != "":
				logged.add(events[name.Name], callKeys(decl, method, c.Args[at+1:])...)
			case !tableError(c.Args[at]):
				wrong = append(wrong, types.ExprString(c)+": its event is not a constant of events.go")
			}
		})
	})
	return logged, wrong
}

// tableError tells whether an event is wordTableError with the error behind it:
// such a line has a word and no name.
func tableError(e ast.Expr) bool {
	sum, ok := e.(*ast.BinaryExpr)
	return ok && strings.HasPrefix(types.ExprString(sum), "wordTableError + ") && types.ExprString(sum.Y) == "e.Error()"
}

// callKeys are the keys of one call's facts.
func callKeys(in ast.Decl, method string, args []ast.Expr) []string {
	switch {
	case method == "trouble" || method == "systemFault": // of receiver
		return []string{"error"}
	case len(args) > 0 && appended(args[len(args)-1]):
		return attributes(in)
	}
	return loggedKeys(args)
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
	calls(in, func(c *ast.CallExpr, method string) {
		if (method == "String" || method == "Int") && len(c.Args) == 2 {
			if key, ok := text(c.Args[0]); ok {
				keys = append(keys, key)
			}
		}
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
