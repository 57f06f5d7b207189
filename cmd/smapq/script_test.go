package main

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"smap/internal/scripttest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"smapq": main, "sendmail": main, "mailq": main, "newaliases": main})
}

// TestScripts runs testdata/script/smapq*.txtar. Besides scripttest's commands
// they have:
//
//	spool DIR                   makes a spool
//	feed SPOOL BOX ID FILE [FIELD...]  puts a message of ann to bob into a box
//	mtime FILE TIME             sets a file's modification time, such as -2h or +3m
//	lock FILE                   holds a lock until the script ends
func TestScripts(t *testing.T) {
	scripttest.Run(t, "../../testdata/script/smapq*.txtar", t.TempDir(), func(e *testscript.Env) {
		e.Setenv("SMAP_SPOOL", filepath.Join(e.WorkDir, "spool"))
		e.Setenv("TERM", "xterm")
	}, map[string]scripttest.Command{"spool": spoolCmd, "feed": feedCmd, "mtime": mtimeCmd, "lock": lockCmd})
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

func lockCmd(ts *testscript.TestScript, _ bool, args []string) {
	f, err := os.Open(ts.MkAbs(args[0]))
	ts.Check(err)
	ts.Check(syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB))
	ts.Defer(func() { f.Close() })
}
