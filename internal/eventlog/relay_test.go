package eventlog

import (
	"errors"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A log hands out what is written to it.
type log chan string

func (l log) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

func TestRelay(t *testing.T) {
	l := make(log, 1)
	child, err := NewRelay(l, "smap").Next(nil)
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"<22>smap[1]: connect client=192.0.2.1": "<22>smap[1]: connect client=192.0.2.1",
		"<20>smap[1]: grün \xff\u202e":          `<20>smap[1]: gr\u00fcn \xff\u202e`,
		// Another tag:
		"<19>x":                 "<19>" + tag("smap") + "<19>x",
		"<22>sshd[1]: Accepted": "<19>" + tag("smap") + "<22>sshd[1]: Accepted",
		"<22>smap[1] sshd: x":   "<19>" + tag("smap") + "<22>smap[1] sshd: x",
		"<22>smap[1sshd[2]: x":  "<19>" + tag("smap") + "<22>smap[1sshd[2]: x",
		// Another facility, two lines in one, a terminal's control sequences:
		"<86>sshd[1]: Accepted password for root": "<19>" + tag("smap") + "<86>sshd[1]: Accepted password for root",
		"<22>smap[1]: a\n<86>b\x00\x1b[2J\x7f":    "<22>smap[1]: a?<86>b??[2J?",
		"panic: nil\n\tgoroutine":                 "<19>" + tag("smap") + "panic: nil??goroutine",
		"<221>":                                   "<19>" + tag("smap") + "<221>",
		strings.Repeat("x", 10000):                "<19>" + tag("smap") + strings.Repeat("x", maxDatagram),
	} {
		if _, err := child.Write([]byte(in)); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-l:
			if got != want {
				t.Errorf("%q became %q, want %q", in, got, want)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q was lost", in)
		}
	}
}

// TestChildren are started one after the other. Nothing that one of them does to
// its socket is the others' end.
func TestChildren(t *testing.T) {
	l := make(log, 1)
	r := NewRelay(l, "smap")
	says := func(fd int, what string) {
		t.Helper()
		if _, err := unix.Write(fd, []byte(what)); err != nil {
			t.Fatal(err)
		}
		select {
		case got := <-l:
			if got != what {
				t.Errorf("%q became %q", what, got)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%q was lost", what)
		}
	}
	var fds []int
	next := func() int {
		t.Helper()
		f, err := r.Next(nil)
		if err != nil {
			t.Fatal(err)
		}
		fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0) // as the child has it
		if err != nil {
			t.Fatal(err)
		}
		fds = append(fds, fd)
		return fd
	}
	old, evil := next(), next()
	says(old, "<22>smap[1]: before")
	says(evil, "<22>smap[2]: before")
	// An empty line is what the relay sees at a child's end: it must not collect
	// the sockets of children that are gone.
	var err error
	for stop := time.Now().Add(20 * time.Second); err == nil && time.Now().Before(stop); time.Sleep(time.Millisecond) {
		_, err = unix.Write(evil, nil)
	}
	if err == nil {
		t.Error("its other end stays open")
	}
	if err := unix.Shutdown(evil, unix.SHUT_WR); err != nil && !errors.Is(err, unix.ENOTCONN) {
		t.Fatal(err)
	}
	says(old, "<22>smap[1]: after")
	says(next(), "<22>smap[3]: after")
	for _, fd := range fds {
		if err := unix.Close(fd); err != nil {
			t.Error(err)
		}
	}
}
