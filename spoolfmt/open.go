package spoolfmt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// An oddFileError is the error of a name that is no regular file, which is the
// message's fault. Everything else that keeps a file from being opened is the
// system's trouble.
type oddFileError struct{ reason string }

func (e *oddFileError) Error() string { return e.reason }

func notRegular() error { return &oddFileError{"not a regular file"} }

// openRegular opens a file of the spool without following a link, without
// waiting for a FIFO's writer, and without touching a device.
func (s *Spool) openRegular(box Box, name string) (*os.File, error) {
	st, err := lstat(s.dirs[box], name)
	if err != nil {
		return nil, err
	}
	if !isRegular(&st) {
		return nil, notRegular()
	}
	// Read-write first: NFS locks need it.
	fd, err := s.sys.open(s.dirs[box], name, unix.O_RDWR|unix.O_NONBLOCK, 0)
	if err == unix.EACCES || err == unix.EROFS || err == unix.EPERM {
		fd, err = s.sys.open(s.dirs[box], name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	}
	switch err {
	case nil:
	case unix.ELOOP, unix.EMLINK, unix.ENXIO: // it changed after the look
		return nil, notRegular()
	default:
		return nil, err
	}
	opened, err := fstat(fd)
	if err == nil && !isRegular(&opened) {
		err = notRegular()
	}
	if err != nil {
		return nil, errors.Join(err, s.sys.close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

// lockVerified locks an open file and verifies that the name still means it. It
// may be called again for a file that is locked.
func (s *Spool) lockVerified(f *os.File, box Box, name string) error {
	err := lock(int(f.Fd()))
	if err == unix.EWOULDBLOCK {
		return ErrBusy
	}
	if err != nil {
		return fmt.Errorf("lock %s/%s: %w", box, name, err)
	}
	same, err := s.means(box, name, f)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !same {
		return ErrBusy // it moved between the open and the lock
	}
	return err
}

// means tells whether a name is that of an open file.
func (s *Spool) means(box Box, name string, f *os.File) (bool, error) {
	named, err := lstat(s.dirs[box], name)
	if err == nil {
		var opened unix.Stat_t
		if opened, err = fstat(int(f.Fd())); err == nil {
			return sameFile(&named, &opened), nil
		}
	}
	return false, fmt.Errorf("%s/%s: %w", box, name, err)
}
