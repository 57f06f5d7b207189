//go:build !linux

package spoolfmt

import (
	"errors"
	"os"
)

func moveNoReplace(fromDir int, from string, toDir int, to string) error {
	return linkAndUnlink(fromDir, from, toDir, to)
}

// reserve sets room on the disk apart for the first size octets of a file.
func reserve(fd int, size int64) error { return fill(fd, size) }

// syncfs is Linux's; sync(2) does not wait everywhere.
func syncfs(int) error { return errors.ErrUnsupported }

// memoryFile makes a file that is only in memory, which is Linux's.
func memoryFile() (int, error) { return -1, errors.ErrUnsupported }

func startWriting(int) {}

func awaitWriting(int) {}

// reopen is Linux's: elsewhere /dev/fd shares the position.
func (s *Spool) reopen(*os.File) (*os.File, error) { return nil, nil }
