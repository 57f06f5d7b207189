package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"smapq": main, "sendmail": main, "mailq": main, "newaliases": main})
}

// TestScripts runs testdata/script/smapq*.txtar. Besides testscript's own
// commands they have:
//
//	spool DIR                   makes a spool
//	feed SPOOL BOX ID FILE [FIELD...]  puts a message of ann to bob into a box
//	mtime FILE TIME             sets a file's modification time, such as -2h or +3m
//	until FILE|GLOB             waits until it exists
//	gone GLOB                   waits until nothing of that name is there
//	logged FILE PATTERN         waits until a line of the file holds the text
//	expand FILE...              puts the environment's values into files
//	lock FILE                   holds a lock until the script ends
//
// and the condition root.
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("../../testdata/script/smapq*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	work := filepath.Join(t.TempDir(), "work")
	for _, dir := range []string{work, filepath.Dir(work), filepath.Dir(filepath.Dir(work))} {
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		WorkdirRoot:         work,
		Setup: func(e *testscript.Env) error {
			e.Setenv("SMAP_SPOOL", filepath.Join(e.WorkDir, "spool"))
			e.Setenv("TERM", "xterm")
			// Parents of a table must not be writable by others.
			return os.Chmod(e.WorkDir, 0o755)
		},
		Condition: func(cond string) (bool, error) {
			if cond == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", cond)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"spool": spoolCmd, "feed": feedCmd, "mtime": mtimeCmd, "until": untilCmd, "gone": goneCmd,
			"logged": loggedCmd, "expand": expandCmd, "lock": lockCmd,
		},
	})
}

func spoolCmd(ts *testscript.TestScript, _ bool, args []string) {
	for _, b := range []string{"", "tmp", "new", "cur", "bad"} {
		ts.Check(os.Mkdir(filepath.Join(ts.MkAbs(args[0]), b), 0o700))
	}
}

func feedCmd(ts *testscript.TestScript, _ bool, args []string) {
	box, id, content := filepath.Join(ts.MkAbs(args[0]), args[1]), args[2], ts.ReadFile(args[3])
	env := fmt.Sprintf("Spool-Format: 1\nSender: <ann@example.com>\nRecipient: <bob@example.org>\nSize: %d\n", len(content))
	for _, f := range args[4:] {
		env += f + "\n"
	}
	ts.Check(os.WriteFile(filepath.Join(box, id+".eml"), []byte(content), 0o640))
	ts.Check(os.WriteFile(filepath.Join(box, id+".envelope"), []byte(env+"\n"), 0o640))
}

func mtimeCmd(ts *testscript.TestScript, _ bool, args []string) {
	d, err := time.ParseDuration(args[1])
	ts.Check(err)
	at := time.Now().Add(d)
	ts.Check(os.Chtimes(ts.MkAbs(args[0]), at, at))
}

func wait(ts *testscript.TestScript, what string, ok func() bool) {
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	log, _ := os.ReadFile(ts.MkAbs("log")) // what a command in the background said, if there is one
	ts.Fatalf("not in time: %s\n%s", what, log)
}

func there(ts *testscript.TestScript, pattern string) bool {
	names, err := filepath.Glob(ts.MkAbs(pattern))
	ts.Check(err)
	return len(names) > 0
}

func untilCmd(ts *testscript.TestScript, _ bool, args []string) {
	for _, a := range args {
		wait(ts, a, func() bool { return there(ts, a) })
	}
}

func goneCmd(ts *testscript.TestScript, _ bool, args []string) {
	for _, a := range args {
		wait(ts, "no "+a, func() bool { return !there(ts, a) })
	}
}

func loggedCmd(ts *testscript.TestScript, _ bool, args []string) {
	wait(ts, args[1], func() bool {
		data, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && strings.Contains(string(data), args[1])
	})
}

func expandCmd(ts *testscript.TestScript, _ bool, args []string) {
	for _, a := range args {
		text := os.Expand(ts.ReadFile(a), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(a), []byte(text), 0o600))
	}
}

func lockCmd(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	ts.Defer(func() { f.Close() })
}
