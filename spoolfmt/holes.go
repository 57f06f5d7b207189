//go:build linux || freebsd || darwin

package spoolfmt

import (
	"golang.org/x/sys/unix"
)

// nextData returns where the next data of a file begins, and where the hole after
// it does. Where the file system does not tell, everything is data.
func nextData(fd int, at, size int64) (data, hole int64, err error) {
	data, err = unix.Seek(fd, at, unix.SEEK_DATA)
	if err == nil && data >= at {
		hole, err = unix.Seek(fd, data, unix.SEEK_HOLE)
	}
	switch {
	case err == unix.ENXIO: // only a hole is left
		return size, size, nil
	case err == unix.EINVAL, err == unix.ENOTTY, err == unix.EOPNOTSUPP, err == nil && hole <= at:
		return at, size, nil
	}
	return data, hole, err
}
