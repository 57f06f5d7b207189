package receiver

import (
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"
)

func newInput(pieces ...string) *input {
	nothing := func() error { return nil }
	return &input{conn: &reel{pieces: pieces}, begin: nothing, flush: nothing, waited: func(time.Duration, int) {}, buf: make([]byte, readBuffer)}
}

func TestLine(t *testing.T) {
	long := strings.Repeat("x", maxCommand-2)
	tests := []struct {
		in    string
		lines []string
		err   error // after them
	}{
		{"", nil, io.EOF},
		{"a\r\n", []string{"a"}, io.EOF},
		{"\r\n\r\na b\r\n", []string{"", "", "a b"}, io.EOF},
		{"a\r\nb", []string{"a"}, io.EOF},
		{"a\r", nil, io.EOF},
		{"a\nb\r\n", nil, errBareLine},
		{"a\rb\r\n", nil, errBareLine},
		{"a\r\r\n", nil, errBareLine},
		{"\n", nil, errBareLine},
		{"\r\r\n", nil, errBareLine},
		{"a\r\n\n", []string{"a"}, errBareLine},
		{"a\x00\r\n", []string{"a\x00"}, io.EOF}, // execute refuses it
		{long + "\r\na\r\n", []string{long, "a"}, io.EOF},
		{"\r" + long + "x\r\n", nil, errBareLine},
		{"x" + long + "\n", nil, errBareLine},
		{strings.Repeat("x", 5*maxDiscard), nil, errNoEnd},
	}
	for _, x := range tests {
		cuts := [][]string{{x.in}, octets(x.in)}
		for at := 1; at < len(x.in) && len(x.in) < 100; at++ {
			cuts = append(cuts, halves(x.in, at))
		}
		for _, pieces := range cuts {
			in := newInput(pieces...)
			var lines []string
			var err error
			for {
				var line []byte
				if line, err = in.line(); err != nil {
					break
				}
				lines = append(lines, string(line))
			}
			if !slices.Equal(lines, x.lines) || !errors.Is(err, x.err) {
				t.Errorf("%.40q in %d pieces: %.40q, %v; want %.40q, %v", x.in, len(pieces), lines, err, x.lines, x.err)
			}
		}
	}
}

// TestLineTooLong: the next line is found.
func TestLineTooLong(t *testing.T) {
	for _, n := range []int{maxCommand - 1, maxCommand, 3 * maxCommand, readBuffer - 1, readBuffer, readBuffer + 1, maxDiscard - maxCommand} {
		in := strings.Repeat("x", n) + "\r\nNOOP\r\n"
		for _, pieces := range [][]string{{in}, octets(in), halves(in, n), halves(in, n+1)} {
			i := newInput(pieces...)
			if _, err := i.line(); !errors.Is(err, errLongLine) {
				t.Errorf("%d octets in %d pieces: %v", n, len(pieces), err)
			}
			if line, err := i.line(); err != nil || string(line) != "NOOP" {
				t.Errorf("behind %d octets in %d pieces: %q, %v", n, len(pieces), line, err)
			}
		}
	}
}

// A stalled connection returns nothing, for ever.
type stalled struct{ reel }

func (*stalled) Read([]byte) (int, error) { return 0, nil }

func TestLineNoProgress(t *testing.T) {
	in := newInput()
	in.conn = new(stalled)
	if _, err := in.line(); !errors.Is(err, io.ErrNoProgress) {
		t.Error(err)
	}
}
