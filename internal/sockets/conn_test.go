package sockets

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pair returns a Conn on one end of a connection, which does not block, and the
// other end.
func pair(t *testing.T) (*Conn, *os.File) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(unix.SetNonblock(fds[0], true), unix.SetNonblock(fds[1], true)); err != nil {
		t.Fatal(err)
	}
	ours, theirs := os.NewFile(uintptr(fds[0]), "ours"), os.NewFile(uintptr(fds[1]), "theirs")
	t.Cleanup(func() { _ = errors.Join(ours.Close(), theirs.Close()) })
	return NewConn(fds[0], fds[0]), theirs
}

func TestConn(t *testing.T) {
	c, peer := pair(t)
	_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
	time.AfterFunc(20*time.Millisecond, func() { _, _ = peer.WriteString("HELO\r\n") })
	b := make([]byte, 100)
	if n, err := c.Read(b); err != nil || string(b[:n]) != "HELO\r\n" {
		t.Errorf("%q, %v", b[:n], err)
	}
	// More than the socket holds, for somebody who does not read at once.
	long := bytes.Repeat([]byte("x"), 4<<20)
	_ = c.SetWriteDeadline(time.Now().Add(20 * time.Second))
	got := make(chan []byte)
	time.AfterFunc(20*time.Millisecond, func() {
		all, err := io.ReadAll(peer)
		if err != nil {
			t.Error(err)
		}
		got <- all
	})
	if n, err := c.Write(long); n != len(long) || err != nil {
		t.Errorf("%d octets, %v", n, err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if all := <-got; !bytes.Equal(all, long) {
		t.Errorf("%d octets came, want %d", len(all), len(long))
	}
	if err := peer.Close(); err != nil {
		t.Fatal(err)
	}
	if n, err := c.Read(b); n != 0 || err != io.EOF {
		t.Errorf("%d octets, %v at the end", n, err)
	}
	if _, err := c.Write(b); !errors.Is(err, unix.EPIPE) {
		t.Errorf("%v from writing to nobody", err)
	}
}

// TestConnDeadlines are of a client that is silent, and does not read.
func TestConnDeadlines(t *testing.T) {
	c, peer := pair(t)
	b := make([]byte, 100)
	const soon = 30 * time.Millisecond
	began := time.Now()
	_ = c.SetReadDeadline(began.Add(soon))
	if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) < soon {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	if _, err := peer.WriteString("x"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v after the deadline", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	if n, err := c.Read(b); n != 1 || err != nil {
		t.Errorf("%d octets, %v without a deadline", n, err)
	}
	began = time.Now()
	_ = c.SetWriteDeadline(began.Add(soon))
	n, err := c.Write(make([]byte, 16<<20))
	if n == 0 || !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) < soon {
		t.Errorf("%d octets, %v after %v", n, err, time.Since(began))
	}
}

// TestConnPipes has two pipes, which block, as a person who tries it has.
func TestConnPipes(t *testing.T) {
	in, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	theirIn, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = errors.Join(in.Close(), out.Close(), theirIn.Close()) }()
	c := NewConn(int(in.Fd()), int(out.Fd())) // Fd makes them block
	_ = c.SetReadDeadline(time.Now().Add(30 * time.Millisecond))
	b := make([]byte, 100)
	if _, err := c.Read(b); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%v from a silent pipe", err)
	}
	_ = c.SetReadDeadline(time.Time{})
	if _, err := c.Write([]byte("220\r\n")); err != nil {
		t.Error(err)
	}
	if n, err := theirIn.Read(b); err != nil || string(b[:n]) != "220\r\n" {
		t.Errorf("%q, %v", b[:n], err)
	}
	if c.CloseWrite() == nil {
		t.Error("a pipe was shut down")
	}
	if err := theirOut.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(b); err != io.EOF {
		t.Errorf("%v at the end", err)
	}
}
