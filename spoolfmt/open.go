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
	st, err := s.lstat(box, name)
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
	err := s.sys.lock(int(f.Fd()))
	if err == unix.EWOULDBLOCK {
		return ErrBusy
	}
	if err == unix.ESTALE { // NFS: another machine may have removed it, which is no trouble
		if _, verr := s.verified(f, box, name); verr == ErrBusy {
			return ErrBusy
		}
	}
	if err != nil {
		return fmt.Errorf("lock %s/%s: %w", box, name, err)
	}
	_, err = s.verified(f, box, name)
	return err
}

// verified looks at a name, and makes sure that it is that of an open file.
func (s *Spool) verified(f *os.File, box Box, name string) (unix.Stat_t, error) {
	named, err := s.lstat(box, name)
	var opened unix.Stat_t
	if err == nil {
		opened, err = fstat(int(f.Fd()))
	}
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && !sameFile(&named, &opened):
		return named, ErrBusy // it moved between the open and the lock
	case err != nil:
		return named, fmt.Errorf("%s/%s: %w", box, name, err)
	}
	return named, nil
}
