package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"smap/internal/sysexits"
)

// TestDetach starts a server as a start-up script does: the command ends when the
// server is at work, the pid file has its process, a second one is refused by
// name, and TERM ends it and takes the file away.
func TestDetach(t *testing.T) {
	dir := t.TempDir()
	bin, table := install(t, dir, "smap: log-required no\n")
	host := "127.0.0.1"
	if runtime.GOOS == "linux" {
		host = "127.1.2.3" // a port that is free here is not taken by what connects from 127.0.0.1 meanwhile
	}
	l, err := net.Listen("tcp4", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	start := func(args ...string) (string, int) {
		var said bytes.Buffer
		cmd := exec.Command(bin, args...)
		cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &said, &said
		if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
			t.Fatal(err)
		}
		return said.String(), cmd.ProcessState.ExitCode()
	}
	if out, code := start("-d", "-c", "table", "-listen", address, "-p", "none/pid"); code != exitOS || !strings.Contains(out, "smap: pid file: ") || !strings.Contains(out, "did not start") {
		t.Errorf("an impossible pid file: %d, %q", code, out)
	}
	// A table that is missing cannot say that smap serves without a syslog daemon, which this machine may lack.
	out, code := start("-d", "-c", "missing", "-listen", address, "-p", "pid")
	if (code != exitConfig || !strings.Contains(out, "smap: fwtkcfgerr: ")) && (code != sysexits.Unavailable || !strings.Contains(out, "no syslog daemon answers")) {
		t.Errorf("a missing table: %d, %q", code, out)
	}
	if out, code := start("-d", "-c", "table", "-listen", address, "-p", "pid"); code != 0 || out != "" {
		t.Fatalf("%d, %q", code, out)
	}
	text, err := os.ReadFile(filepath.Join(dir, "pid"))
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Kill(-pid, syscall.SIGKILL) }) // gone already, unless the test failed
	conn, err := net.Dial("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	if line := firstLine(t, conn); !strings.HasPrefix(line, "220 ") {
		t.Errorf("at once after the command: %q", line)
	}
	conn.Close()
	if out, code := start("-d", "-c", table, "-listen", "127.0.0.1:0", "-p", "pid"); code != exitOS || !strings.Contains(out, fmt.Sprint("smap is already running, as process ", pid)) {
		t.Errorf("a second one: %d, %q", code, out)
	}
	if out, code := start("-d", "-c", table); code != exitUsage || !strings.Contains(out, "-d works only with -listen") {
		t.Errorf("without -listen: %d, %q", code, out)
	}
	if out, code := start("-d", "-log", "stderr", "-c", table, "-listen", address); code != exitUsage || !strings.Contains(out, "leave out one of the two") {
		t.Errorf("with -log stderr: %d, %q", code, out)
	}
	if err := syscall.Kill(pid, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if _, err := os.Stat(filepath.Join(dir, "pid")); os.IsNotExist(err) {
			return
		}
	}
	t.Error("the pid file stays")
}
