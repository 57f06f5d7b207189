// Package scripttest is what the script tests of smap, smapd and smapq have in
// common: where they run, and the commands that all of their scripts may use.
package scripttest

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// A Command is what a script calls by its name.
type Command = func(ts *testscript.TestScript, neg bool, args []string)

// Run runs the scripts of a pattern below root, with the condition [root] and,
// besides testscript's commands and more,
//
//	until FILE|GLOB...   waits until it exists
//	gone FILE|GLOB...    waits until nothing of that name is there
//	dies FILE            waits until the process whose pid the file holds is gone
//	logged FILE TEXT     waits until a line of the file holds the text
//	times N FILE TEXT    the text is in so many lines of the file
//	expand FILE...       puts the environment's values into files, mode 600
//
// What they wait for has to come within 20 seconds.
func Run(t *testing.T, pattern, root string, setup func(*testscript.Env), more map[string]Command) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	// Not testscript's own directories: another user has to get through.
	work := filepath.Join(root, "work")
	for _, dir := range []string{root, filepath.Dir(root), work} {
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	commands := map[string]Command{"until": until, "gone": gone, "dies": dies, "logged": Logged, "times": times, "expand": expand}
	maps.Copy(commands, more)
	testscript.Run(t, testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		WorkdirRoot:         work,
		Setup: func(e *testscript.Env) error {
			setup(e)
			// Parents of a table must not be writable by others.
			return os.Chmod(e.WorkDir, 0o755)
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: commands,
	})
}

// Wait ends the script if ok does not become true in time.
func Wait(ts *testscript.TestScript, what string, ok func() bool) {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	log, _ := os.ReadFile(ts.MkAbs("log")) // what a command in the background said, if there is one
	ts.Fatalf("not in time: %s\n%s", what, log)
}

// Read returns what a file holds, nothing if there is none.
func Read(ts *testscript.TestScript, file string) []byte {
	data, err := os.ReadFile(ts.MkAbs(file))
	if err != nil && !os.IsNotExist(err) {
		ts.Fatalf("%v", err)
	}
	return data
}

// Lines counts the lines of a file that hold the text.
func Lines(ts *testscript.TestScript, file, text string) int {
	n := 0
	for line := range bytes.Lines(Read(ts, file)) {
		if bytes.Contains(line, []byte(text)) {
			n++
		}
	}
	return n
}

// Glob returns the names that match.
func Glob(ts *testscript.TestScript, pattern string) []string {
	names, err := filepath.Glob(ts.MkAbs(pattern))
	ts.Check(err)
	return names
}

// Pid returns the process id that a file holds.
func Pid(ts *testscript.TestScript, file string) int {
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(file)))
	ts.Check(err)
	return pid
}

// Logged is the command of that name.
func Logged(ts *testscript.TestScript, _ bool, args []string) {
	Wait(ts, fmt.Sprintf("%q in %s", args[1], args[0]), func() bool { return Lines(ts, args[0], args[1]) > 0 })
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	for _, a := range args {
		Wait(ts, a, func() bool { return len(Glob(ts, a)) > 0 })
	}
}

func gone(ts *testscript.TestScript, _ bool, args []string) {
	for _, a := range args {
		Wait(ts, "no "+a, func() bool { return len(Glob(ts, a)) == 0 })
	}
}

func dies(ts *testscript.TestScript, _ bool, args []string) {
	pid := Pid(ts, args[0])
	Wait(ts, "the end of "+args[0], func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
}

func times(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if n := Lines(ts, args[1], args[2]); n != want {
		ts.Fatalf("%q is in %d lines of %s, want %d:\n%s", args[2], n, args[1], want, Read(ts, args[1]))
	}
}

func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, a := range args {
		text := os.Expand(ts.ReadFile(a), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(a), []byte(text), 0o600))
		ts.Check(os.Chmod(ts.MkAbs(a), 0o600))
	}
}
