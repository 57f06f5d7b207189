// Package addrlist looks mail addresses up in a file that lists them, without
// loading it.
//
// The first word of each line is an address, from the line's first octet on; what
// follows after white space is a comment, and so is a line that begins with "#".
// The addresses are in any order. They are compared as a whole and without
// regard to the case of ASCII letters; nothing is special about "+tag".
//
// A process that serves one connection asks once or twice, so that an index
// would cost more than it saves. What counts is the speed of one pass: see
// [search]. On amd64 its innermost loop is in assembly: the compiler's takes two
// and a half times as long, and a miss in 100,000 addresses took 0.36 ms with it.
package addrlist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"sync"
)

// maxAddress is longer than any address of RFC 5321, in octets.
const maxAddress = 1024

// pieceSize is how much of the file is in memory at once: seven of the pages that
// the allocator rounds to, so that a look-up stays below 64 KiB.
const pieceSize = 56 << 10

// A List is a file of addresses. It may be used by several goroutines.
type List struct {
	f       io.ReaderAt
	buffers sync.Pool
}

// New returns the list in f, which the caller keeps open.
func New(f io.ReaderAt) *List {
	return &List{f: f, buffers: sync.Pool{New: func() any { return new([pieceSize]byte) }}}
}

// Contains reports whether an address is in the list. It reads the file as it
// is now.
func (l *List) Contains(address string) (bool, error) {
	if address == "" || len(address) > maxAddress || address[0] == '#' {
		return false, nil
	}
	s := newSearch(address)
	buf := l.buffers.Get().(*[pieceSize]byte)
	defer l.buffers.Put(buf)
	// An address comes after the end of a line; so does the first one.
	buf[0] = '\n'
	kept := 1
	for at := int64(0); ; {
		n, err := l.f.ReadAt(buf[kept:], at)
		at += int64(n)
		piece := buf[:kept+n]
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return false, err
		}
		if s.find(piece, end) {
			return true, nil
		}
		if end {
			return false, nil
		}
		// One that is cut off here, with the octet that must follow it.
		kept = copy(buf[:], piece[max(0, len(piece)-len(s.line)):])
	}
}

// A search finds one line quickly. It looks for two octets of the line at their
// distance, in 64 places at a time, and compares the line only where both are.
type search struct {
	line          []byte // the end of the line before, and the address, in lower case
	first, second int    // the places of the two octets in line
	chosen        bool
}

func newSearch(address string) *search {
	s := &search{line: append([]byte{'\n'}, address...)}
	for i, c := range s.line {
		s.line[i] = lower(c)
	}
	return s
}

// find reports whether the line is in a piece of text, which is the last one if
// end is set.
func (s *search) find(piece []byte, end bool) bool {
	if !s.chosen {
		s.choose(piece[:min(len(piece), sample)])
	}
	for i := s.next(piece, 0); i >= 0; i = s.next(piece, i+1) {
		if s.at(piece[i:], end) {
			return true
		}
	}
	return false
}

const (
	sample = 1 << 10 // octets of the file that the choice is tried on
	tries  = 12      // places of the line that are tried with each other
)

// choose finds two octets that are seldom where they would be in the line, by
// trying: all lines may begin alike, or end in the same digit. They are of the
// local part, since domains are alike in most files, and far apart rather than
// near, since there are fewer places for such a pair.
func (s *search) choose(text []byte) {
	last := len(s.line) - 1
	if at := bytes.LastIndexByte(s.line, '@'); at > 0 {
		last = at
	}
	step := (last + tries - 1) / tries
	first, second, least := 0, 1, len(text)+1
	for apart := last / step * step; apart > 0; apart -= step {
		for s.first = 0; s.first+apart <= last; s.first += step {
			s.second = s.first + apart
			n := 0
			for i := s.next(text, 0); i >= 0 && n < least; i = s.next(text, i+1) {
				n++
			}
			if n < least {
				first, second, least = s.first, s.second, n
			}
		}
	}
	s.first, s.second, s.chosen = first, second, true
}

const (
	ones   = 0x0101010101010101
	letter = 0x5f * ones // without the bit that makes a letter small; some other octets become equal, too
	carry  = 0x7f * ones // makes the high bit of each octet that is not 0
	high   = 0x80 * ones
)

// next returns the first place, from one on, where both octets are as they would
// be if the line began there, or -1.
func (s *search) next(text []byte, from int) int {
	if from+s.second >= len(text) {
		return -1
	}
	a, b := text[from+s.first:len(text)-s.second+s.first], text[from+s.second:]
	c, d := uint64(s.line[s.first])*ones, uint64(s.line[s.second])*ones
	n := skip(a, b, c, d)
	a, b = a[n:], b[n:]
	for len(a) >= 8 && len(b) >= 8 {
		if both := ^differ(a, b, c, d) & high; both != 0 {
			return len(text) - s.second - len(b) + bits.TrailingZeros64(both)/8
		}
		a, b = a[8:], b[8:]
	}
	for i := range b {
		if ((a[i]^byte(c))|(b[i]^byte(d)))&(letter&0xff) == 0 {
			return len(text) - s.second - len(b) + i
		}
	}
	return -1
}

// block is how many places are looked at together.
const block = 64

// skipWords is skip for any machine.
func skipWords(a, b []byte, c, d uint64) int {
	skipped := 0
	for len(a) >= block && len(b) >= block {
		x, y := (*[block]byte)(a), (*[block]byte)(b)
		t := differ(x[0:8], y[0:8], c, d)
		t &= differ(x[8:16], y[8:16], c, d)
		t &= differ(x[16:24], y[16:24], c, d)
		t &= differ(x[24:32], y[24:32], c, d)
		t &= differ(x[32:40], y[32:40], c, d)
		t &= differ(x[40:48], y[40:48], c, d)
		t &= differ(x[48:56], y[48:56], c, d)
		t &= differ(x[56:64], y[56:64], c, d)
		if t&high != high {
			break
		}
		a, b = a[block:], b[block:]
		skipped += block
	}
	return skipped
}

// differ sets the high bit of each octet where not both are as in c and d.
func differ(a, b []byte, c, d uint64) uint64 {
	return ((binary.LittleEndian.Uint64(a)^c)|(binary.LittleEndian.Uint64(b)^d))&letter + carry
}

// at reports whether text begins with the line.
func (s *search) at(text []byte, end bool) bool {
	if len(text) < len(s.line) {
		return false
	}
	for i, c := range s.line {
		if lower(text[i]) != c {
			return false
		}
	}
	if len(text) == len(s.line) {
		return end
	}
	switch text[len(s.line)] {
	case '\n', '\r', ' ', '\t':
		return true
	}
	return false
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		return c + 'a' - 'A'
	}
	return c
}
