package docs

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// programEvents are the packages whose events are a program's own.
func programEvents() map[string][]string {
	return map[string][]string{
		"smap":  {"cmd/smap", "receiver"},
		"smapd": {"cmd/smapd", "courier", "courier/agent"},
	}
}

// sharedEvents are the packages whose events more than one program may log.
func sharedEvents(t *testing.T) []string {
	t.Helper()
	shared := []string{"spoolfmt"}
	err := filepath.WalkDir(filepath.Join(root, "internal"), func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		dir, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		if dir == "internal/tools" || dir == "internal/systest" {
			return fs.SkipDir
		}
		if code, err := filepath.Glob(filepath.Join(path, "*.go")); entry.IsDir() && len(code) > 0 {
			shared = append(shared, dir)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return shared
}

// TestEvents holds smap-log(5) against the events that each package declares in
// its events.go, and the log calls against these.
func TestEvents(t *testing.T) {
	lines := page(t, "smap-log.5")
	compare := func(heading string, dirs []string) {
		said := documented(t, section(t, lines, "Ss "+heading))
		has := make(facts)
		for _, dir := range dirs {
			events, bare := declaredEvents(eventsFile(t, dir))
			logged, wrong := logCalls(files(t, dir), events)
			for _, w := range slices.Concat(bare, wrong, unused(events, logged)) {
				t.Errorf("%s: %s", dir, w)
			}
			for _, event := range events {
				has.add(event, logged[event]...)
			}
		}
		same(t, heading, slices.Collect(maps.Keys(said)), slices.Collect(maps.Keys(has)))
		for event, keys := range has {
			if _, ok := said[event]; ok {
				same(t, heading+", facts of "+event, said[event], keys)
			}
		}
	}
	compare("Events of all programs", sharedEvents(t))
	for program, dirs := range programEvents() {
		compare("Events of "+program, dirs)
	}
}

// eventsFile parses a package's events.go; a package that logs nothing has none.
func eventsFile(t *testing.T, dir string) *ast.File {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), filepath.Join(root, dir, "events.go"), nil, parser.ParseComments)
	if errors.Is(err, fs.ErrNotExist) {
		return new(ast.File)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// declaredEvents returns the events that a file declares: the string constants whose
// names begin with "event". Those without a comment are wrong.
func declaredEvents(f *ast.File) (events map[string]string, wrong []string) {
	events = make(map[string]string)
	for _, decl := range f.Decls {
		group, ok := decl.(*ast.GenDecl)
		if !ok || group.Tok != token.CONST {
			continue
		}
		for _, spec := range group.Specs {
			c := spec.(*ast.ValueSpec)
			name := c.Names[0].Name
			if !strings.HasPrefix(name, "event") || len(c.Values) != 1 {
				continue
			}
			events[name], _ = text(c.Values[0])
			if c.Comment == nil && c.Doc == nil {
				wrong = append(wrong, name+" has no comment that says when it is logged")
			}
		}
	}
	return events, wrong
}

// unused are the declared events that no call logs.
func unused(events map[string]string, logged facts) []string {
	var wrong []string
	for name, event := range events {
		if _, ok := logged[event]; !ok {
			wrong = append(wrong, name+" is declared and never logged")
		}
	}
	return wrong
}

// documented reads items such as
//
//	.It Sy "securityalert: deny" Ar client name
func documented(t *testing.T, lines []string) facts {
	t.Helper()
	found := make(facts)
	for _, item := range items(lines, "Sy") {
		name, keys, _ := strings.Cut(item, " Ar ")
		if strings.HasPrefix(name, `"`) {
			var err error
			if name, err = strconv.Unquote(name); err != nil {
				t.Fatalf("%s: %v", item, err)
			}
		}
		if _, twice := found[name]; twice {
			t.Errorf("%s is there twice", name)
		}
		found.add(name, strings.Fields(keys)...)
	}
	return found
}

// TestEventsNotice plants each defect: an event that only the code or only the page
// has, and a log call that does not use the constant.
func TestEventsNotice(t *testing.T) {
	const code = `package planted
const (
	eventOpen = "open" // a door opens
	eventShut = "shut" // a door shuts
	eventLock = "lock"
)
func (d *door) alarm(event string, args ...any) { d.log.Warn(event, args...) }
func (d *door) move() {
	d.log.Info(eventOpen, "pid", 1)
	d.alarm(eventShut, slog.String("why", ""))
	%s
}`
	events := func(call string) (map[string]string, facts, []string) {
		f, err := parser.ParseFile(token.NewFileSet(), "events.go", fmt.Sprintf(code, call), parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		events, bare := declaredEvents(f)
		logged, wrong := logCalls([]*ast.File{f}, events)
		return events, logged, slices.Concat(bare, wrong, unused(events, logged))
	}
	page := documented(t, []string{`.It Sy open Ar pid`, `.It Sy "slam shut" Ar why`, ".It Sy lock"})
	has, logged, wrong := events("d.log.Info(eventLock)")
	wantLines(t, "constants", wrong, "eventLock has no comment that says when it is logged")
	wantLines(t, "names", differences(slices.Collect(maps.Keys(page)), slices.Collect(maps.Values(has))),
		`"slam shut" is in the page, and not in the code`, `"shut" is in the code, and not in the page`)
	wantLines(t, "facts of open", logged["open"], "pid")
	wantLines(t, "facts of shut", logged["shut"], "why")

	_, _, wrong = events("")
	wantLines(t, "unused", wrong[1:], "eventLock is declared and never logged")
	for _, call := range []string{`d.log.Info("lock")`, `d.alarm("lock")`, `d.log.LogAttrs(ctx, level, "lock")`,
		`d.log.ErrorContext(ctx, "lock")`, `d.log.Warn("fwtksyserr: " + what)`, `d.log.Warn(what)`, `slog.Info(eventOther)`} {
		_, _, wrong := events("d.log.Info(eventLock)\n" + call)
		if len(wrong) != 2 || !strings.HasSuffix(wrong[1], "not a constant of events.go") {
			t.Errorf("%s: noticed %q", call, wrong)
		}
	}
}

// wantLines compares lists whose order does not matter.
func wantLines(t *testing.T, what string, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(slices.Sorted(slices.Values(got)), slices.Sorted(slices.Values(want))) {
		t.Errorf("%s: %q, want %q", what, got, want)
	}
}
