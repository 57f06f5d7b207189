// Package addrlist looks mail addresses up in a file that lists them.
//
// The first word of each line is an address, from the line's first octet on; what
// follows after white space is a comment, and so is a line that begins with "#".
// The addresses are in any order. They are compared as a whole and without
// regard to the case of ASCII letters; nothing is special about "+tag".
//
// A process that serves many connections loads a [Set]. A process for one
// connection has a [Finder], which reads the file until that costs more.
package addrlist

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
)

// MaxSet is the size of the largest file that is loaded, in octets.
const MaxSet = 32 << 20

// maxAddress is longer than any address of RFC 5321, in octets.
const maxAddress = 1024

var (
	// ErrLarge is returned for a file that is too large for a set.
	ErrLarge = fmt.Errorf("the file has more than %d octets", MaxSet)
	// ErrChanging is returned for a file that somebody writes at the moment.
	ErrChanging = errors.New("the file is being written")
)

// A Set is the addresses of a file, in memory. Several goroutines can use it.
type Set struct{ all map[string]struct{} }

// Load reads a set from an open file. It takes no file that changes meanwhile.
func Load(f *os.File) (*Set, error) {
	before, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if before.Size() > MaxSet {
		return nil, ErrLarge
	}
	s, err := read(f, before.Size())
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	if err == nil && (after.Size() != before.Size() || !after.ModTime().Equal(before.ModTime())) {
		err = ErrChanging
	}
	return s, err
}

// read reads a set from the first octets of a file.
func read(f io.ReaderAt, size int64) (*Set, error) {
	text := make([]byte, size)
	if n, err := f.ReadAt(text, 0); int64(n) < size {
		return nil, errors.Join(ErrChanging, err)
	}
	lower(text)
	all := string(text) // the keys share it
	s := &Set{make(map[string]struct{}, bytes.Count(text, []byte{'\n'})+1)}
	for at := 0; at < len(all); {
		end := bytes.IndexByte(text[at:], '\n')
		if end < 0 {
			end = len(text) - at
		}
		if n := addressEnd(text[at : at+end]); n > 0 {
			s.all[all[at:at+n]] = struct{}{}
		}
		at += end + 1
	}
	return s, nil
}

// addressEnd returns where the address of a line ends; 0 where it has none. White
// space within quotes belongs to it.
func addressEnd(line []byte) int {
	if len(line) == 0 || line[0] == '#' {
		return 0
	}
	quoted := line[0] == '"'
	for i, c := range line {
		switch {
		case c == '"' && i > 0 && line[i-1] != '\\':
			quoted = false
		case !quoted && isEnd(c):
			return i
		}
	}
	return len(line)
}

// isEnd tells whether an octet ends an address.
func isEnd(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

// Contains tells whether an address is in the set.
func (s *Set) Contains(address string) bool {
	if len(address) > maxAddress {
		return false
	}
	b := []byte(address)
	lower(b)
	_, ok := s.all[string(b)]
	return ok
}

// lower makes the ASCII letters of a text small, eight octets at a time.
func lower(text []byte) {
	const ones = 0x0101010101010101
	for len(text) >= 8 {
		w := binary.LittleEndian.Uint64(text)
		seven := w & (0x7f * ones)
		fromA := seven + (0x80-'A')*ones // the high bit is set from A on
		beyondZ := seven + (0x7f-'Z')*ones
		capital := (fromA ^ beyondZ) & ^w & (0x80 * ones)
		binary.LittleEndian.PutUint64(text, w|capital>>2)
		text = text[8:]
	}
	for i, c := range text {
		if c >= 'A' && c <= 'Z' {
			text[i] = c + 'a' - 'A'
		}
	}
}
