package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"smapd": main, "agent": agent})
}

// TestScripts runs testdata/script/smapd*.txtar. Besides testscript's own
// commands they have:
//
//	until FILE|GLOB      waits until it exists
//	gone GLOB            waits until nothing of that name is there
//	logged FILE PATTERN  waits until a line of the file holds the text
//	times N FILE TEXT    the text is in so many lines of the file
//	signal FILE NAME [LOG]  sends a signal to the process whose pid the file holds,
//	                     or to its child that the log names
//	dies FILE            waits until the process whose pid the file holds is gone
//	feed SPOOL ID FILE RCPT...  commits a message with the shell's means
//	due FILE             makes a deferred message due
//	expand FILE...       puts the environment's values into files
//	manager SOCKET FILE  plays the service manager: what it hears is in the file
//	atleast N FILE TEXT  waits until it is in so many lines of the file
//	again FILE TEXT      waits until it is in one more line of the file
//	quiet FILE TEXT      waits until no more such lines come
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("../../testdata/script/smapd*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	// Not testscript's own directories: another user has to get through.
	root := t.TempDir()
	bin := programs(t, filepath.Join(root, "bin"))
	work := filepath.Join(root, "work")
	for _, dir := range []string{root, filepath.Dir(root), work} {
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	testscript.Run(t, testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		WorkdirRoot:         work,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+":"+e.Getenv("PATH"))
			e.Setenv("AGENT", filepath.Join(bin, "agent"))
			e.Setenv("SMAPD", filepath.Join(bin, "smapd"))
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
			"until": until, "gone": goneCmd, "logged": loggedCmd, "times": times,
			"signal": signalCmd, "expand": expand, "feed": feed, "due": due,
			"manager": managerCmd, "dies": dies, "atleast": atleast, "again": again, "quiet": quiet,
		},
	})
}

// programs puts this binary under the names of the programs that it can be.
func programs(t *testing.T, dir string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Mkdir(dir, 0o755), os.WriteFile(filepath.Join(dir, "smapd"), data, 0o755),
		os.Link(filepath.Join(dir, "smapd"), filepath.Join(dir, "agent"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, a := range args {
		text := os.Expand(ts.ReadFile(a), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(a), []byte(text), 0o600))
	}
}

func wait(ts *testscript.TestScript, what string, ok func() bool) {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	ts.Fatalf("not in time: %s", what)
}

func glob(ts *testscript.TestScript, pattern string) []string {
	names, err := filepath.Glob(ts.MkAbs(pattern))
	ts.Check(err)
	return names
}

func until(ts *testscript.TestScript, _ bool, args []string) {
	for _, a := range args {
		wait(ts, a, func() bool { return len(glob(ts, a)) > 0 })
	}
}

func goneCmd(ts *testscript.TestScript, _ bool, args []string) {
	for _, a := range args {
		wait(ts, "no "+a, func() bool { return len(glob(ts, a)) == 0 })
	}
}

func lines(ts *testscript.TestScript, file, text string) int {
	data, err := os.ReadFile(ts.MkAbs(file))
	if err != nil && !os.IsNotExist(err) {
		ts.Fatalf("%v", err)
	}
	n := 0
	for line := range bytes.Lines(data) {
		if bytes.Contains(line, []byte(text)) {
			n++
		}
	}
	return n
}

func loggedCmd(ts *testscript.TestScript, _ bool, args []string) {
	wait(ts, args[1], func() bool { return lines(ts, args[0], args[1]) > 0 })
}

func times(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if n := lines(ts, args[1], args[2]); n != want {
		ts.Fatalf("%q is in %d lines of %s, want %d:\n%s", args[2], n, args[1], want, ts.ReadFile(args[1]))
	}
}

func signalCmd(ts *testscript.TestScript, _ bool, args []string) {
	data := strings.TrimSpace(ts.ReadFile(args[0]))
	pid, err := strconv.Atoi(data)
	ts.Check(err)
	if len(args) > 2 {
		// The process that does the work, which the log names where it is not
		// the one that was started.
		if i := strings.LastIndex(ts.ReadFile(args[2]), "child pid="); i >= 0 {
			_, err := fmt.Sscanf(ts.ReadFile(args[2])[i:], "child pid=%d", &pid)
			ts.Check(err)
		}
	}
	sig := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "HUP": syscall.SIGHUP, "USR1": syscall.SIGUSR1,
		"STOP": syscall.SIGSTOP, "CONT": syscall.SIGCONT}[args[1]]
	ts.Check(syscall.Kill(pid, sig))
}

func managerCmd(ts *testscript.TestScript, _ bool, args []string) {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: ts.MkAbs(args[0]), Net: "unixgram"})
	ts.Check(err)
	f, err := os.Create(ts.MkAbs(args[1]))
	ts.Check(err)
	ts.Defer(func() { conn.Close(); f.Close() })
	go func() {
		buf := make([]byte, 4096)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			fmt.Fprintf(f, "%s\n", buf[:n])
		}
	}()
}

func atleast(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[0])
	ts.Check(err)
	wait(ts, args[2], func() bool { return lines(ts, args[1], args[2]) >= n })
}

func again(ts *testscript.TestScript, _ bool, args []string) {
	had := lines(ts, args[0], args[1])
	wait(ts, "another "+args[1], func() bool { return lines(ts, args[0], args[1]) > had })
}

func quiet(ts *testscript.TestScript, _ bool, args []string) {
	wait(ts, "no more "+args[1], func() bool {
		had := lines(ts, args[0], args[1])
		time.Sleep(500 * time.Millisecond)
		return lines(ts, args[0], args[1]) == had
	})
}

func dies(ts *testscript.TestScript, _ bool, args []string) {
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(args[0])))
	ts.Check(err)
	wait(ts, "the end of "+args[0], func() bool { return errors.Is(syscall.Kill(pid, 0), syscall.ESRCH) })
}

func feed(ts *testscript.TestScript, _ bool, args []string) {
	spool, id, content := ts.MkAbs(args[0]), args[1], ts.ReadFile(args[2])
	env := fmt.Sprintf("Spool-Format: 1\nSender: <a@example.com>\nSize: %d\n", len(content))
	for _, r := range args[3:] {
		env += "Recipient: <" + r + ">\n"
	}
	for _, f := range []struct{ name, text string }{{id + ".eml", content}, {id + ".envelope", env + "\n"}} {
		tmp := filepath.Join(spool, "tmp", f.name)
		ts.Check(os.WriteFile(tmp, []byte(f.text), 0o640))
		if st, err := os.Stat(spool); err == nil && os.Geteuid() == 0 {
			ts.Check(os.Chown(tmp, int(st.Sys().(*syscall.Stat_t).Uid), -1))
		}
		ts.Check(os.Link(tmp, filepath.Join(spool, "new", f.name)))
		ts.Check(os.Remove(tmp))
	}
}

func due(ts *testscript.TestScript, _ bool, args []string) {
	for _, name := range glob(ts, args[0]) {
		past := time.Now().Add(-time.Second)
		ts.Check(os.Chtimes(name, past, past))
	}
}

// agent stands in for sendmail: "agent DIR [CODE]" writes what it got into
// files of DIR and exits. While DIR/wait exists it does not come back.
func agent() {
	dir := os.Args[1]
	rest := os.Args[2:]
	code := 0
	if len(rest) > 0 {
		if n, err := strconv.Atoi(rest[0]); err == nil {
			code, rest = n, rest[1:]
		}
	}
	content, err := io.ReadAll(os.Stdin)
	if err != nil {
		os.Exit(74)
	}
	id := os.Getenv("SMAP_ID")
	note := func(suffix, text string) {
		if err := os.WriteFile(filepath.Join(dir, id+suffix), []byte(text), 0o644); err != nil {
			os.Exit(74)
		}
	}
	note(".begun", strconv.Itoa(os.Getpid())+"\n")
	for {
		if _, err := os.Stat(filepath.Join(dir, "wait")); err != nil {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	fmt.Println("agent was here")
	note(".env", strings.Join(os.Environ(), "\n")+"\n")
	note(".args", strings.Join(rest, " ")+"\n")
	note(".eml", string(content))
	os.Exit(code)
}
