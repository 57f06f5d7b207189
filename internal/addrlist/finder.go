package addrlist

import (
	"bytes"
	"errors"
	"io"
	"os"
)

// A connection's first look-ups read the file; most connections have no more.
// Then the file is loaded, so that any number of look-ups costs little more.
const maxScans = 3

// maxOctets is how much of a file that cannot be loaded one finder reads.
const maxOctets = 1 << 30

// ErrEnough is returned when a finder has read as much as it may.
var ErrEnough = errors.New("too many look-ups in a large file")

// A Finder looks addresses up for one connection. It is not for several goroutines.
type Finder struct {
	f     *os.File
	scans int
	left  int64 // octets that it may read
	set   *Set
}

// NewFinder returns a finder in an open file.
func NewFinder(f *os.File) *Finder { return &Finder{f: f, left: maxOctets} }

// Contains tells whether an address is in the file.
func (l *Finder) Contains(address string) (bool, error) {
	if l.set == nil && l.scans == maxScans {
		var err error
		if l.set, err = Load(l.f); err != nil && !errors.Is(err, ErrLarge) && !errors.Is(err, ErrChanging) {
			return false, err
		}
	}
	if l.set != nil {
		return l.set.Contains(address), nil
	}
	l.scans = min(l.scans+1, maxScans)
	if l.left <= 0 {
		return false, ErrEnough
	}
	found, n, err := scan(l.f, address)
	l.left -= n
	return found, err
}

// pieceSize is how much of the file is in memory at once.
const pieceSize = 56 << 10

// scan looks for an address in a file, and returns how much of that it read.
func scan(f io.ReaderAt, address string) (found bool, octets int64, err error) {
	if address == "" || len(address) > maxAddress || address[0] == '#' {
		return false, 0, nil
	}
	// An address comes after the end of a line; so does the first one.
	line := append([]byte{'\n'}, address...)
	lower(line)
	buf := make([]byte, pieceSize)
	buf[0] = '\n'
	kept := 1
	for at := int64(0); ; {
		n, err := f.ReadAt(buf[kept:], at)
		at += int64(n)
		end := errors.Is(err, io.EOF)
		if err != nil && !end {
			return false, at, err
		}
		piece := buf[:kept+n]
		lower(piece[kept:])
		if hasLine(piece, line, end) {
			return true, at, nil
		}
		if end {
			return false, at, nil
		}
		// One that is cut off here, with the octet that must follow it.
		kept = copy(buf, piece[max(0, len(piece)-len(line)):])
	}
}

// hasLine tells whether a line is in a piece of text, which is the last one if end
// is set.
func hasLine(piece, line []byte, end bool) bool {
	for {
		i := bytes.Index(piece, line)
		if i < 0 {
			return false
		}
		piece = piece[i+len(line):]
		if len(piece) == 0 {
			return end
		}
		if isEnd(piece[0]) {
			return true
		}
	}
}
