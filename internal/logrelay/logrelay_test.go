package logrelay

import (
	"strings"
	"testing"
	"time"
)

// A log hands out what is written to it.
type log chan string

func (l log) Write(b []byte) (int, error) {
	l <- string(b)
	return len(b), nil
}

func TestRelay(t *testing.T) {
	l := make(log, 1)
	child, err := Start(l)
	if err != nil {
		t.Fatal(err)
	}
	for in, want := range map[string]string{
		"<22>smap[1]: connect client=192.0.2.1": "<22>smap[1]: connect client=192.0.2.1",
		"<20>smap[1]: grün":                     "<20>smap[1]: grün",
		"<19>x":                                 "<19>x",
		// Another facility, two lines in one, a terminal's control sequences:
		"<86>sshd[1]: Accepted password for root": "<19><86>sshd[1]: Accepted password for root",
		"<22>a\n<86>b\x00\x1b[2J\x7f":             "<22>a?<86>b??[2J?",
		"panic: nil\n\tgoroutine":                 "<19>panic: nil??goroutine",
		"<221>":                                   "<19><221>",
		strings.Repeat("x", 10000):                "<19>" + strings.Repeat("x", maxDatagram),
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
