package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminalPair is a terminal, and what types on it.
func terminalPair(t *testing.T) (tty, keys *os.File) {
	t.Helper()
	keys, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { keys.Close() })
	n, err := unix.IoctlGetInt(int(keys.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(keys.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err == nil {
		err = unix.IoctlSetWinsize(int(keys.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 80})
	}
	if err != nil {
		t.Fatal(err)
	}
	return tty, keys
}

// TestSureInterrupted: an interrupt ends the question, and nothing is deleted; who
// says yes in time is heard.
func TestSureInterrupted(t *testing.T) {
	for _, yes := range []bool{true, false} {
		tty, keys := terminalPair(t)
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		type answer struct {
			ok  bool
			err error
		}
		answered := make(chan answer, 1)
		a := &app{in: tty, err: new(bytes.Buffer)}
		go func() {
			ok, err := a.sure(ctx, false, 1)
			answered <- answer{ok, err}
		}()
		if yes {
			if _, err := keys.WriteString("y\n"); err != nil {
				t.Fatal(err)
			}
		} else {
			interrupt()
		}
		select {
		case got := <-answered:
			if got.ok != yes || !yes && !strings.Contains(fmt.Sprint(got.err), "nothing was deleted") {
				t.Errorf("yes %v: %+v", yes, got)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("yes %v: still waiting", yes)
		}
	}
}
