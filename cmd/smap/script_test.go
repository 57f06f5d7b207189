package main

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"smap/internal/scripttest"
)

// TestScripts runs testdata/script/smap-*.txtar. Besides scripttest's commands
// they have:
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
//	signal FILE NAME [child|lookup LOG]  sends a signal to the process whose pid
//	                     the file holds, or to the last of its children that the
//	                     log names, or to the look-up child of that
//	identd ANSWER        answers on port 113, until the script ends
//	status FILE LOG LINE the status in /proc of the last child has that line
//	certificate CERT KEY NAME  makes a key and a certificate
//	tls LOG NAME         the server's certificate, after STARTTLS, is for that name
//	until-tls LOG NAME   waits until it is
//	count N GLOB         so many files are there
//
// A dialogue is lines that begin with "C: " (sent, with CR LF; escapes of Go's
// strings mean what they mean there, and a line of "C:- " is sent without CR LF),
// "S: " (received, octet for octet, with CR LF; "S~ " only begins so), "end" (the
// server ends the connection) or "wait TIME".
func TestScripts(t *testing.T) {
	root := t.TempDir()
	bin := program(t, filepath.Join(root, "bin"))
	c := &clients{open: make(map[string]*client)}
	scripttest.Run(t, "../../testdata/script/smap-*.txtar", root, func(e *testscript.Env) {
		e.Setenv("PATH", bin+":"+e.Getenv("PATH"))
		e.Setenv("SMAP", filepath.Join(bin, "smap"))
	}, map[string]scripttest.Command{
		"inetd": c.inetd, "listening": c.listening, "code": c.code, "talk": c.talk, "connect": c.connect, "served": c.served,
		"says": c.says, "close": c.close, "identd": identd, "status": status, "certificate": certificate, "tls": withTLS,
		"until-tls": untilTLS, "signal": signalCmd, "count": count,
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

// lastChild is the last child that a parent's log says is ready.
func lastChild(ts *testscript.TestScript, log string) int {
	text, pid := ts.ReadFile(log), 0
	_, err := fmt.Sscanf(text[max(0, strings.LastIndex(text, ": ready pid=")):], ": ready pid=%d", &pid)
	ts.Check(err)
	return pid
}

func status(ts *testscript.TestScript, _ bool, args []string) {
	scripttest.Logged(ts, false, []string{args[1], ": ready pid="})
	text := ts.ReadFile(fmt.Sprintf("/proc/%d/status", lastChild(ts, args[1])))
	want, err := strconv.Unquote(`"` + args[2] + `"`)
	ts.Check(err)
	if !strings.Contains(text, "\n"+want+"\n") {
		ts.Fatalf("no %q in:\n%s", want, text)
	}
}

func signalCmd(ts *testscript.TestScript, _ bool, args []string) {
	pid := scripttest.Pid(ts, args[0])
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
		if os.Geteuid() == 0 && !bytes.Contains(status, []byte("\nUid:\t65532\t65532\t65532\t65532\n")) {
			ts.Fatalf("the look-up child has not the user of its own:\n%s", status)
		}
		if !bytes.Contains(status, []byte("\nNoNewPrivs:\t1\n")) || !bytes.Contains(status, []byte("\nSeccomp:\t2\n")) {
			ts.Fatalf("the look-up child has no sandbox:\n%s", status)
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

func count(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	names, err := filepath.Glob(ts.MkAbs(args[1]))
	ts.Check(err)
	if len(names) != want {
		ts.Fatalf("%d files, want %d: %q", len(names), want, names)
	}
}
