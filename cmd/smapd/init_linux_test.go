package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestFirstProcess: as process 1 of a namespace, smapd waits for what agents leave
// behind, passes TERM on, and ends as its other self does.
func TestFirstProcess(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes a namespace of processes here")
	}
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} { // the child is another user
		if err := os.Chmod(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	bin := programs(t, filepath.Join(dir, "bin"))
	agent := filepath.Join(dir, "agent.sh")
	spool := filepath.Join(dir, "spool")
	table := filepath.Join(dir, "table")
	mark := filepath.Join(dir, "orphan-stays")
	text := "smapd: userid 65534\nsmapd: directory " + spool + "\nsmapd: badadmin none\nsmapd: agent exec " + agent + "\n"
	for _, err := range []error{
		os.WriteFile(agent, []byte("#!/bin/sh\n(exec >/dev/null 2>&1; while [ -e "+mark+" ]; do sleep 0.05; done) &\nexit 0\n"), 0o755),
		os.WriteFile(table, []byte(text), 0o600), os.WriteFile(mark, nil, 0o600),
		os.Mkdir(spool, 0o700), os.Mkdir(filepath.Join(spool, "tmp"), 0o700), os.Mkdir(filepath.Join(spool, "new"), 0o700),
		os.WriteFile(filepath.Join(spool, "new", "m.eml"), []byte("x\n"), 0o640),
		os.WriteFile(filepath.Join(spool, "new", "m.envelope"), []byte("Spool-Format: 1\nSender: <>\nRecipient: <a@x.test>\nSize: 2\n\n"), 0o640),
		exec.Command("chown", "-R", "65534:65534", spool).Run(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	cmd := exec.Command(filepath.Join(bin, "smapd"), "-c", table, "-log", "stderr")
	cmd.Stderr = &log
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID}
	if err := cmd.Start(); err != nil {
		t.Skip("no namespace of processes here: ", err)
	}
	adopted := false
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		children := childrenOf(t, cmd.Process.Pid)
		if len(children) > 1 && !adopted {
			adopted = true
			if err := os.Remove(mark); err != nil {
				t.Fatal(err)
			}
		}
		if adopted && len(children) == 1 && !strings.Contains(fmt.Sprint(children), "Z") {
			break
		}
		if time.Now().After(end) {
			t.Errorf("adopted %v, children %v", adopted, children)
			break
		}
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after TERM: %v\n%s", err, &log)
	}
}

// childrenOf returns the names and states of a process's children.
func childrenOf(t *testing.T, pid int) []string {
	t.Helper()
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, name := range stats {
		data, err := os.ReadFile(name)
		if err != nil {
			continue // gone
		}
		_, rest, _ := strings.Cut(string(data), ") ")
		f := strings.Fields(rest)
		if len(f) > 1 && f[1] == fmt.Sprint(pid) {
			found = append(found, f[0])
		}
	}
	return found
}
