package spoolfmt

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"
)

// copyData copies the first size octets of a file to a new one. Holes cost their
// feeder nothing, and must not fill the disk: they are holes in the copy too.
func (s *Spool) copyData(to int, from *os.File, size int64) error {
	for at := int64(0); at < size; {
		data, hole, err := nextData(int(from.Fd()), at, size)
		if err != nil {
			return fmt.Errorf("look for data: %w", err)
		}
		if err := s.copyPart(to, from, data, min(hole, size)); err != nil {
			return err
		}
		at = hole
	}
	return s.sys.truncate(to, size)
}

// copyPart copies the octets from one place to another, without the blocks that
// are all zero.
func (s *Spool) copyPart(to int, from *os.File, at, end int64) error {
	buf := make([]byte, loadBuffer)
	for at < end {
		n, err := from.ReadAt(buf[:min(loadBuffer, end-at)], at)
		if n > 0 && !isZero(buf[:n]) {
			if _, err := unix.Seek(to, at, io.SeekStart); err != nil {
				return err
			}
			if err := s.writeAll(to, buf[:n]); err != nil {
				return err
			}
		}
		at += int64(n)
		if errors.Is(err, io.EOF) { // it was cut meanwhile
			return nil
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func isZero(p []byte) bool {
	for _, b := range p {
		if b != 0 {
			return false
		}
	}
	return true
}
