package main

import (
	"errors"
	"io"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestResetBeforeStart has a client that is not welcome say all that it has to say and reset the connection before smap asks
// who it is. Nobody can tell then; it is no local client, to whom no rule applies.
func TestResetBeforeStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	bin, table := install(t, dir, "smap: deny-hosts *\nsmap: local-domains local.test\n")
	ours, theirs, err := connection()
	if err != nil {
		t.Fatal(err)
	}
	_, err = io.WriteString(ours, "HELO c\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<b@local.test>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\n")
	if err := errors.Join(err, ours.(*net.TCPConn).SetLinger(0), ours.Close()); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	cmd := exec.Command(bin, "-c", table, "-log", "stderr")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, &log
	if err := errors.Join(cmd.Run(), theirs.Close()); err != nil {
		t.Errorf("%v\n%s", err, log.String())
	}
	if names, err := filepath.Glob(filepath.Join(dir, "spool", "new", "*")); err != nil || len(names) > 0 {
		t.Errorf("in new/: %v, %v", names, err)
	}
	if !strings.Contains(log.String(), "exit client=unknown why=vanished") || strings.Contains(log.String(), "connect ") {
		t.Errorf("the log:\n%s", log.String())
	}
}
