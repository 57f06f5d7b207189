//go:build system

package faults

import (
	"bufio"
	"cmp"
	"context"
	"fmt"
	"net"
	"net/smtp"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"smap/internal/crash"
	"smap/internal/systest/kit"
)

// traced is an installation without root, whose programs run under strace.
type traced struct {
	t                 *testing.T
	dir, spool, table string
	uid, gid          int
	to                []string // whom the messages are for
	lines             int      // of a message, and one more for each before it
	options           []string // of strace, besides -f; nil is no strace
	env               []string // of the program; nil is ours
	limit             int      // of the size of files, in octets; 0 is none
	output            string   // of the last program
	timedOut          bool
}

// The first attempt for later@ fails, and every one for never@.
const tracedAgent = `#!/bin/sh
case $1 in
later*) [ -e DIR/second ] || exit 75 ;;
never*) exit 67 ;;
esac
exec cat >>DIR/got
`

func newTraced(t *testing.T, dir string) *traced {
	t.Helper()
	x := &traced{t: t, dir: dir, spool: filepath.Join(dir, "spool"), table: filepath.Join(dir, "table"), lines: 20}
	x.uid, x.gid = kit.IDs(t, kit.SmapdUser)
	for _, d := range []string{x.dir, x.spool} {
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(d, x.uid, x.gid); err != nil {
			t.Fatal(err)
		}
	}
	rules := []string{
		"smap, smapd: directory " + x.spool, "smap, smapd: log stderr",
		"smap: hostname mx.system.test", "smap: local-domains system.test", "smap: minfree 0", "smap: sandbox off", "smap: idle-exit 1",
		"smapd: agent exec " + dir + "/agent {recipient}", "smapd: badadmin none",
	}
	files := map[string]string{x.table: strings.Join(rules, "\n") + "\n", dir + "/agent": strings.ReplaceAll(tracedAgent, "DIR", dir)}
	for name, text := range files {
		if err := os.WriteFile(name, []byte(text), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(name, x.uid, x.gid); err != nil {
			t.Fatal(err)
		}
	}
	return x
}

// run runs a program of ours, or of a path, in its own process group and not for long; where there are options, under
// strace.
func (x *traced) run(stdin *os.File, stdout *os.File, name string, args ...string) error {
	x.t.Helper()
	ctx, cancel := context.WithTimeout(x.t.Context(), 3*time.Minute) // some things are looked at again after a minute
	defer cancel()
	if !filepath.IsAbs(name) {
		name = kit.Program(x.t, name)
	}
	words := append([]string{name}, args...)
	if x.limit > 0 {
		words = append([]string{"prlimit", fmt.Sprintf("--fsize=%d", x.limit)}, words...)
	}
	if x.options != nil {
		words = slices.Concat([]string{"strace", "-f"}, x.options, words)
	}
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	var log strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, &log, &log
	if stdout != nil {
		cmd.Stdout = stdout
	}
	cmd.Dir, cmd.Env = "/", x.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Credential: &syscall.Credential{Uid: uint32(x.uid), Gid: uint32(x.gid)}}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err := cmd.Run()
	x.output, x.timedOut = log.String(), ctx.Err() != nil
	return err
}

// session plays a client that sends one message to each, and returns the last
// reply to each of its messages; "" where the connection ended before.
func (x *traced) session(to ...string) []string {
	x.t.Helper()
	x.to = to
	fds, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM, 0)
	if err != nil {
		x.t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "theirs")
	ours := os.NewFile(uintptr(fds[0]), "ours")
	c, err := net.FileConn(ours)
	if err != nil {
		x.t.Fatal(err)
	}
	ours.Close()
	ended := make(chan struct{})
	replies := make([]string, len(to))
	go func() {
		defer close(ended)
		defer c.Close()
		in := bufio.NewReader(c)
		say := func(s string) string {
			if s != "" {
				fmt.Fprint(c, s)
			}
			line, err := in.ReadString('\n')
			for err == nil && len(line) > 3 && line[3] == '-' {
				line, err = in.ReadString('\n')
			}
			return line
		}
		say("")
		say("EHLO client.test\r\n")
		for i, r := range to {
			say(fmt.Sprintf("MAIL FROM:<m%d@client.test>\r\n", i))
			say(fmt.Sprintf("RCPT TO:<%s@system.test>\r\n", r))
			if !strings.HasPrefix(say("DATA\r\n"), "354") {
				say("RSET\r\n")
				continue
			}
			replies[i] = say(kit.CRLF(x.text(i, r)) + ".\r\n")
		}
		say("QUIT\r\n")
	}()
	x.run(theirs, theirs, "smap", "-c", x.table) //nolint:errcheck // a fault may end it
	theirs.Close()
	<-ended
	return replies
}

// together has several clients send at the same time, to one server that leaves
// when it has no work any more, so that commits share their syncs.
func (x *traced) together(t *testing.T, clients, messages int) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	socket, err := l.(*net.TCPListener).File()
	if err != nil {
		t.Fatal(err)
	}
	defer socket.Close()
	var sending sync.WaitGroup
	for i := range clients {
		sending.Go(func() {
			if err := sendMany(l.Addr().String(), fmt.Sprint(i), messages); err != nil {
				t.Error(err)
			}
		})
	}
	err = x.run(socket, nil, "smap", "-c", x.table)
	sending.Wait()
	if err != nil {
		t.Errorf("smap: %v\n%s", err, x.output)
	}
}

// sendMany sends messages on one connection. It says EHLO: only then does the answer
// name its message, and with several sessions nothing else tells which it is.
func sendMany(address, subject string, messages int) error {
	c, err := smtp.Dial(address)
	if err != nil {
		return err
	}
	defer c.Close()
	for range messages {
		if err := c.Mail("a@client.test"); err != nil {
			return err
		}
		if err := c.Rcpt("b@system.test"); err != nil {
			return err
		}
		w, err := c.Data()
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "Subject: %s\n\nx\n", subject); err != nil {
			return err
		}
		if err := w.Close(); err != nil {
			return err
		}
	}
	return c.Quit()
}

// TestCrashRecords records smap, smapd and smapq at work, and has the states
// checked that a power cut could leave of that. CRASH_KEEP keeps the records.
func TestCrashRecords(t *testing.T) {
	const root = "/var/tmp/crash-record" // the path that spoolfmt's test looks for in the records
	if err := os.RemoveAll(root); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(root) }) //nolint:errcheck // no harm
	out := t.TempDir()
	if d := os.Getenv("CRASH_KEEP"); d != "" {
		out = d
	}
	x := newTraced(t, root)
	record := func(name string) {
		x.options = []string{"-A", "-o", filepath.Join(root, name), "-y", "-xx", "-s", "1000000", "-e", "signal=none", "-e", "trace=" + crash.Calls}
	}
	record("session.strace")
	for i, r := range x.session("ann", "later", "never") {
		if !strings.HasPrefix(r, "250 ") {
			t.Fatalf("message %d: %q\n%s", i, r, x.output)
		}
	}
	if err := x.run(nil, nil, "smapd", "-c", x.table, "-once"); err != nil && !strings.Contains(err.Error(), "75") {
		t.Fatalf("smapd: %v\n%s", err, x.output)
	}
	in, err := os.Open(filepath.Join(root, "table")) // any text
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	if err := x.run(in, nil, "smapq", "-d", x.spool, "submit", "-f", "q@client.test", "ann@system.test"); err != nil {
		t.Fatalf("smapq: %v\n%s", err, x.output)
	}
	if err := x.run(nil, nil, "smapd", "-c", x.table, "-once"); err != nil && !strings.Contains(err.Error(), "75") {
		t.Fatalf("smapd: %v\n%s", err, x.output)
	}
	keepOurs(t, filepath.Join(root, "session.strace"), filepath.Join(out, "session.strace"), x.spool)
	record("together.strace")
	shared := false
	for n := 1; n <= 6 && !shared; n++ { // whether commits meet is a matter of time: more of them, if they did not
		x.together(t, 6, n)
		keepOurs(t, filepath.Join(root, "together.strace"), filepath.Join(out, "together.strace"), x.spool)
		shared = strings.Contains(kit.ReadFile(t, filepath.Join(out, "together.strace")), " syncfs(")
	}
	if !shared {
		t.Error("no sync was shared")
	}
	cmd := exec.Command("go", "test", "-count=1", "-v", "-run", "TestCrashStates$", "./spoolfmt")
	cmd.Dir = kit.Tree()
	states := cmp.Or(os.Getenv("CRASH_STATES"), "20")
	cmd.Env = append(os.Environ(), "CRASH_RECORDS="+out, "CRASH_STATES="+states)
	got, err := cmd.CombinedOutput()
	t.Logf("%s", got)
	if err != nil {
		t.Error(err)
	}
}

// keepOurs drops the calls that are about neither the spool nor a socket.
func keepOurs(t *testing.T, from, to, spool string) {
	t.Helper()
	var keep strings.Builder
	begun := map[string]bool{} // by process: a call that is ours has not ended yet
	for line := range strings.Lines(kit.ReadFile(t, from)) {
		pid, _, _ := strings.Cut(line, " ")
		ours := strings.Contains(line, crash.Octets(spool)) || strings.Contains(line, crash.Octets("socket:"))
		switch {
		case strings.Contains(line, "resumed>"):
			ours = begun[pid]
			begun[pid] = false
		case strings.Contains(line, "<unfinished"):
			begun[pid] = ours
		}
		if ours {
			keep.WriteString(line)
		}
	}
	if err := os.WriteFile(to, []byte(keep.String()), 0o644); err != nil {
		t.Fatal(err)
	}
}
