package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts runs testdata/script/smap-*.txtar. Besides testscript's own
// commands they have:
//
//	inetd DIALOGUE LOG ARG...  runs smap as inetd does, with the dialogue's client
//	                     on a TCP connection as its descriptors 0, 1 and 2; where
//	                     LOG is not "-", descriptor 2 is that file, as under
//	                     tcpserver. "! inetd" wants an exit code that is not 0
//	                     ("inetd -systemd" passes the connection as systemd does)
//	listening 0|systemd PID LOG ARG...  runs smap with a listening socket as
//	                     descriptor 0, or as systemd passes it, in the background
//	code N               that smap's exit code
//	talk LOG DIALOGUE    has a dialogue with the server that wrote the log
//	connect NAME LOG     opens a connection to it that stays
//	served NAME LOG      the same, again and again until it hears 220
//	says NAME LINE...    has a dialogue on such a connection
//	close NAME           closes it
//	logged FILE PATTERN  waits until a line of the file holds the text
//	times N FILE TEXT    the text is in so many lines of the file
//	signal FILE NAME [child|lookup LOG]  sends a signal to the process whose pid
//	                     the file holds, or to the last of its children that the
//	                     log names, or to the look-up child of that
//	identd ANSWER        answers on port 113, until the script ends
//	status FILE LOG LINE the status in /proc of the last child has that line
//	certificate CERT KEY NAME  makes a key and a certificate
//	tls LOG NAME         the server's certificate, after STARTTLS, is for that name
//	until-tls LOG NAME   waits until it is
//	gone FILE            waits until the process whose pid the file holds is gone
//	count N GLOB         so many files are there
//	expand FILE...       puts the environment's values into files, mode 600
//
// A dialogue is lines that begin with "C: " (sent, with CR LF; escapes of Go's
// strings mean what they mean there, and a line of "C:- " is sent without CR LF),
// "S: " (received, octet for octet, with CR LF; "S~ " only begins so), "end" (the
// server ends the connection) or "wait TIME".
func TestScripts(t *testing.T) {
	files, err := filepath.Glob("../../testdata/script/smap-*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	// Not testscript's own directories: another user has to get through.
	root := t.TempDir()
	bin := program(t, filepath.Join(root, "bin"))
	work := filepath.Join(root, "work")
	for _, dir := range []string{root, filepath.Dir(root), work} {
		if err := errors.Join(os.MkdirAll(dir, 0o755), os.Chmod(dir, 0o755)); err != nil {
			t.Fatal(err)
		}
	}
	c := &clients{open: make(map[string]*client)}
	testscript.Run(t, testscript.Params{
		Files:               files,
		RequireExplicitExec: true,
		WorkdirRoot:         work,
		Setup: func(e *testscript.Env) error {
			e.Setenv("PATH", bin+":"+e.Getenv("PATH"))
			e.Setenv("SMAP", filepath.Join(bin, "smap"))
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
			"inetd": c.inetd, "listening": c.listening, "code": c.code, "talk": c.talk, "connect": c.connect, "served": c.served, "says": c.says, "close": c.close,
			"logged": logged, "identd": identd, "status": status, "certificate": certificate, "tls": withTLS, "until-tls": untilTLS, "times": times, "signal": signalCmd, "gone": gone, "count": count, "expand": expand,
		},
	})
}

// program builds smap as it is installed: tests themselves may be linked with C,
// which its jail does not know.
func program(t *testing.T, dir string) string {
	t.Helper()
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("go", "build", "-trimpath", "-o", filepath.Join(dir, "smap"), ".")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

func expand(ts *testscript.TestScript, _ bool, args []string) {
	for _, a := range args {
		text := os.Expand(ts.ReadFile(a), ts.Getenv)
		ts.Check(os.WriteFile(ts.MkAbs(a), []byte(text), 0o600))
		ts.Check(os.Chmod(ts.MkAbs(a), 0o600))
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

func read(ts *testscript.TestScript, file string) []byte {
	data, err := os.ReadFile(ts.MkAbs(file))
	if err != nil && !os.IsNotExist(err) {
		ts.Fatalf("%v", err)
	}
	return data
}

func lines(ts *testscript.TestScript, file, text string) int {
	n := 0
	for line := range bytes.Lines(read(ts, file)) {
		if bytes.Contains(line, []byte(text)) {
			n++
		}
	}
	return n
}

func logged(ts *testscript.TestScript, _ bool, args []string) {
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if lines(ts, args[0], args[1]) > 0 {
			return
		}
	}
	ts.Fatalf("no %q in %s:\n%s", args[1], args[0], read(ts, args[0]))
}

func times(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	if n := lines(ts, args[1], args[2]); n != want {
		ts.Fatalf("%q is in %d lines of %s, want %d:\n%s", args[2], n, args[1], want, read(ts, args[1]))
	}
}

func pidIn(ts *testscript.TestScript, file string) int {
	pid, err := strconv.Atoi(strings.TrimSpace(ts.ReadFile(file)))
	ts.Check(err)
	return pid
}

// lastChild is the last child that a parent's log says is ready.
func lastChild(ts *testscript.TestScript, log string) int {
	text, pid := ts.ReadFile(log), 0
	_, err := fmt.Sscanf(text[max(0, strings.LastIndex(text, ": ready pid=")):], ": ready pid=%d", &pid)
	ts.Check(err)
	return pid
}

func status(ts *testscript.TestScript, _ bool, args []string) {
	logged(ts, false, []string{args[1], ": ready pid="})
	text := ts.ReadFile(fmt.Sprintf("/proc/%d/status", lastChild(ts, args[1])))
	want, err := strconv.Unquote(`"` + args[2] + `"`)
	ts.Check(err)
	if !strings.Contains(text, "\n"+want+"\n") {
		ts.Fatalf("no %q in:\n%s", want, text)
	}
}

func signalCmd(ts *testscript.TestScript, _ bool, args []string) {
	pid := pidIn(ts, args[0])
	if len(args) > 2 {
		pid = lastChild(ts, args[3])
		if args[2] == "lookup" {
			pid = lookupChild(ts, pid)
		}
	}
	sig, ok := map[string]syscall.Signal{"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL, "HUP": syscall.SIGHUP}[args[1]]
	if !ok {
		ts.Fatalf("signal %s?", args[1])
	}
	ts.Check(syscall.Kill(pid, sig))
}

// lookupChild is the look-up child of a process, which must be the only child. Of
// root's it has another user.
func lookupChild(ts *testscript.TestScript, parent int) int {
	files, err := filepath.Glob("/proc/[0-9]*/status")
	ts.Check(err)
	child := 0
	for _, f := range files {
		status, _ := os.ReadFile(f) // the process may be gone
		if !bytes.Contains(status, fmt.Appendf(nil, "\nPPid:\t%d\n", parent)) {
			continue
		}
		if child != 0 {
			ts.Fatalf("%d has several children", parent)
		}
		if os.Geteuid() == 0 && !bytes.Contains(status, []byte("\nUid:\t65534\t65534\t65534\t65534\n")) {
			ts.Fatalf("the look-up child has root:\n%s", status)
		}
		child, err = strconv.Atoi(filepath.Base(filepath.Dir(f)))
		ts.Check(err)
	}
	if child == 0 {
		ts.Fatalf("%d has no child", parent)
	}
	return child
}

// identd answers questions of RFC 1413.
func identd(ts *testscript.TestScript, _ bool, args []string) {
	l, err := net.Listen("tcp4", "127.0.0.1:113")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			question, _ := bufio.NewReader(conn).ReadString('\n')
			_, _ = fmt.Fprintf(conn, "%s : %s\r\n", strings.TrimSpace(question), args[0])
			conn.Close()
		}
	}()
}

func gone(ts *testscript.TestScript, _ bool, args []string) {
	pid := pidIn(ts, args[0])
	wait(ts, "the end of "+args[0], func() bool { return syscall.Kill(pid, 0) == syscall.ESRCH })
}

func count(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	names, err := filepath.Glob(ts.MkAbs(args[1]))
	ts.Check(err)
	if len(names) != want {
		ts.Fatalf("%d files, want %d: %q", len(names), want, names)
	}
}
