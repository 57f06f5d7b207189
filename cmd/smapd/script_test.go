package main

import (
	"bufio"
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

	"smap/internal/scripttest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"smapd": main, "agent": agentMain})
}

// TestScripts runs testdata/script/smapd*.txtar. Besides scripttest's commands
// they have:
//
//	signal FILE NAME [LOG]  sends a signal to the process whose pid the file holds,
//	                     or to its child that the log names
//	feed SPOOL ID FILE RCPT...  commits a message with the shell's means
//	due FILE             makes a deferred message due
//	manager SOCKET FILE  plays the service manager: what it hears is in the file
//	atleast N FILE TEXT  waits until it is in so many lines of the file
//	again FILE TEXT      waits until it is in one more line of the file
//	quiet FILE TEXT      waits until no more such lines come
//	sizeserver FILE SIZE is a server that announces SIZE and refuses all mail; its port is in the file
func TestScripts(t *testing.T) {
	root := t.TempDir()
	bin := programs(t, filepath.Join(root, "bin"))
	format, err := filepath.Abs("../../SPOOL-FORMAT.md")
	if err != nil {
		t.Fatal(err)
	}
	scripttest.Run(t, "../../testdata/script/smapd*.txtar", root, func(e *testscript.Env) {
		e.Setenv("PATH", bin+":"+e.Getenv("PATH"))
		e.Setenv("AGENT", filepath.Join(bin, "agent"))
		e.Setenv("SMAPQ", filepath.Join(bin, "smapq"))
		e.Setenv("SMAPD", filepath.Join(bin, "smapd"))
		e.Setenv("FORMAT", format)
	}, map[string]scripttest.Command{
		"signal": signalCmd, "feed": feed, "due": due, "manager": managerCmd, "atleast": atleast, "again": again, "quiet": quiet, "sizeserver": sizeServer,
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
		os.Link(filepath.Join(dir, "smapd"), filepath.Join(dir, "agent")),
		os.Link(filepath.Join(dir, "smapd"), filepath.Join(dir, "smapq"))); err != nil {
		t.Fatal(err)
	}
	return dir
}

func signalCmd(ts *testscript.TestScript, _ bool, args []string) {
	pid := scripttest.Pid(ts, args[0])
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
	scripttest.Wait(ts, args[2], func() bool { return scripttest.Lines(ts, args[1], args[2]) >= n })
}

func again(ts *testscript.TestScript, _ bool, args []string) {
	had := scripttest.Lines(ts, args[0], args[1])
	scripttest.Wait(ts, "another "+args[1], func() bool { return scripttest.Lines(ts, args[0], args[1]) > had })
}

func quiet(ts *testscript.TestScript, _ bool, args []string) {
	scripttest.Wait(ts, "no more "+args[1], func() bool {
		had := scripttest.Lines(ts, args[0], args[1])
		time.Sleep(500 * time.Millisecond)
		return scripttest.Lines(ts, args[0], args[1]) == had
	})
}

func sizeServer(ts *testscript.TestScript, _ bool, args []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { ln.Close() })
	_, port, err := net.SplitHostPort(ln.Addr().String())
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(port), 0o644))
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "220 size.test\r\n")
			for lines := bufio.NewScanner(c); lines.Scan(); {
				if strings.HasPrefix(lines.Text(), "EHLO") {
					fmt.Fprintf(c, "250-size.test\r\n250 SIZE %s\r\n", args[1])
				} else {
					fmt.Fprint(c, "450 later\r\n")
				}
			}
			c.Close()
		}
	}()
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
	for _, name := range scripttest.Glob(ts, args[0]) {
		past := time.Now().Add(-time.Second)
		ts.Check(os.Chtimes(name, past, past))
	}
}

// agentMain stands in for sendmail: "agent DIR [CODE]" writes what it got into
// files of DIR and exits. While DIR/wait exists it does not come back.
func agentMain() {
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
