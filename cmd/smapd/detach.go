package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/google/renameio/v2"
)

// readyFD is where the detached process says that it is at work.
const readyFD = 3

// detach starts this program again in a session of its own and waits until it
// is at work, so that a start-up script learns of a failure.
func detach(o options, stderr io.Writer) int {
	exe, err := os.Executable()
	// The other process has another working directory.
	for _, path := range []*string{&o.table, &o.pidFile} {
		if err == nil {
			*path, err = filepath.Abs(*path)
		}
	}
	if err != nil {
		fmt.Fprintln(stderr, "smapd:", err)
		return exOSErr
	}
	in, out, err := os.Pipe()
	if err != nil {
		fmt.Fprintln(stderr, "smapd:", err)
		return exOSErr
	}
	cmd := exec.Command(exe, "-detached", "-d", "-c", o.table, "-p", o.pidFile)
	if o.once {
		cmd.Args = append(cmd.Args, "-once")
	}
	cmd.Dir = "/"
	cmd.ExtraFiles = []*os.File{out}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var said bytes.Buffer
	cmd.Stderr = &said // until we are gone, and with us the other end of the pipe
	cmd.WaitDelay = time.Second
	if err := cmd.Start(); err != nil {
		fmt.Fprintln(stderr, "smapd:", err)
		return exOSErr
	}
	_ = out.Close() // the other process has it now
	var b [1]byte
	if n, _ := in.Read(b[:]); n == 1 {
		return exOK
	}
	if err := cmd.Wait(); err != nil {
		_, _ = stderr.Write(said.Bytes())
		fmt.Fprintln(stderr, "smapd: did not start; if nothing stands above, the log says why:", err)
		return max(cmd.ProcessState.ExitCode(), 1)
	}
	return exOK
}

// detachedReady tells the process that detached this one, if there is one.
func detachedReady(o options) {
	if !o.inner {
		return
	}
	f := os.NewFile(readyFD, "ready")
	_, _ = f.Write([]byte{1}) // who does not wait any more does not care
	_ = f.Close()
}

// writePid writes the pid file and returns what removes it.
func writePid(path string) (remove func(), err error) {
	text := strconv.Itoa(os.Getpid()) + "\n"
	if err := renameio.WriteFile(path, []byte(text), 0o644); err != nil {
		return nil, fmt.Errorf("pid file: %w; -p names another", err)
	}
	return func() {
		// Only our own: another smapd may have been started meanwhile.
		if now, err := os.ReadFile(path); err == nil && string(now) == text {
			_ = os.Remove(path) // a stale pid file is checked by who reads it
		}
	}, nil
}
