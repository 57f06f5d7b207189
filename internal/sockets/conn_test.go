package sockets

import (
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestPair has two pipes as a connection: deadlines hold in both directions.
func TestPair(t *testing.T) {
	var in, out [2]int
	if err := errors.Join(unix.Pipe(in[:]), unix.Pipe(out[:])); err != nil {
		t.Fatal(err)
	}
	p := NewPair(in[0], out[1])
	ours, theirs := os.NewFile(uintptr(in[1]), "to smap"), os.NewFile(uintptr(out[0]), "from smap")
	defer ours.Close()
	defer theirs.Close()
	if _, err := ours.WriteString("HELO\r\n"); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 100)
	if n, err := p.Read(b); err != nil || string(b[:n]) != "HELO\r\n" {
		t.Errorf("%q, %v", b[:n], err)
	}
	if err := p.SetReadDeadline(time.Now().Add(time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("reading in vain: %v", err)
	}
	if err := p.SetWriteDeadline(time.Now().Add(10 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if n, err := p.Write(make([]byte, 1<<20)); !errors.Is(err, os.ErrDeadlineExceeded) || n == 0 {
		t.Errorf("more than a pipe holds: %d octets, %v", n, err)
	}
	if err := ours.Close(); err != nil {
		t.Fatal(err)
	}
	_ = p.SetReadDeadline(time.Time{})
	if _, err := p.Read(b); err != io.EOF {
		t.Errorf("at the end: %v", err)
	}
}

func TestCloseWrite(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	defer ours.Close()
	defer theirs.Close()
	if err := CloseWrite(ours); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(theirs); err != nil || len(b) > 0 {
		t.Errorf("%q, %v", b, err)
	}
}
