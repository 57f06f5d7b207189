package main

import (
	"context"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/eventlog"
	"smap/receiver"
)

// TestAcceptPauses has a socket that cannot accept: systemd may pass any, and
// somebody may have shut one down. It is told once, and no loop is busy with it.
func TestAcceptPauses(t *testing.T) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.SetNonblock(fd, true); err != nil {
		t.Fatal(err)
	}
	read, write := io.Pipe()
	s := &server{setup: &setup{config: receiver.Config{Log: eventlog.New(write, "smap")}}}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.accept(ctx, os.NewFile(uintptr(fd), "socket"))
		write.Close()
	}()
	timer := time.AfterFunc(30*time.Second, func() { read.CloseWithError(os.ErrDeadlineExceeded) })
	defer timer.Stop()
	b := make([]byte, 1000)
	n, err := read.Read(b)
	if err != nil || !strings.Contains(string(b[:n]), `smap: fwtksyserr: accept error="invalid argument"`) {
		t.Errorf("%q, %v", b[:n], err)
	}
	time.Sleep(3 * acceptPause)
	stop()
	if rest, err := io.ReadAll(read); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
	<-done
}
