package spoolfmt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"
)

// An oddFileError says that a name is not, or cannot be opened as, a regular
// file; running out of descriptors and I/O errors are not of this kind.
type oddFileError struct{ reason string }

func (e *oddFileError) Error() string { return e.reason }

// openContent opens a file of the spool without following a link, without
// waiting for a FIFO's writer, and without touching a device.
func (s *Spool) openContent(box Box, name string) (*os.File, error) {
	st, err := lstat(s.dirs[box], name)
	if err != nil {
		return nil, err
	}
	if !isRegular(&st) {
		return nil, &oddFileError{"not a regular file"}
	}
	// Read-write first: NFS locks need it.
	fd, err := s.sys.open(s.dirs[box], name, unix.O_RDWR|unix.O_NONBLOCK, 0)
	if err == unix.EACCES || err == unix.EROFS || err == unix.EPERM {
		fd, err = s.sys.open(s.dirs[box], name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	}
	switch err {
	case nil:
	case unix.EACCES, unix.EPERM:
		return nil, &oddFileError{"cannot be read: " + err.Error()}
	case unix.ELOOP, unix.EMLINK, unix.ENXIO:
		return nil, &oddFileError{"not a regular file"}
	default:
		return nil, err
	}
	opened, err := fstat(fd)
	if err == nil && !isRegular(&opened) {
		err = &oddFileError{"not a regular file"}
	}
	if err != nil {
		return nil, errors.Join(err, s.sys.close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

// lockVerified locks an open file and verifies that the name still means it. It may be
// called again for a file that is locked.
func (s *Spool) lockVerified(f *os.File, box Box, name string) error {
	err := lock(int(f.Fd()))
	if err == unix.EWOULDBLOCK {
		return ErrBusy
	}
	if err != nil {
		return fmt.Errorf("lock %s/%s: %w", box, name, err)
	}
	named, err := lstat(s.dirs[box], name)
	if errors.Is(err, fs.ErrNotExist) {
		return ErrBusy // it moved between the open and the lock
	}
	if err != nil {
		return fmt.Errorf("%s/%s: %w", box, name, err)
	}
	opened, err := fstat(int(f.Fd()))
	if err != nil {
		return fmt.Errorf("%s/%s: %w", box, name, err)
	}
	if !sameFile(&named, &opened) {
		return ErrBusy
	}
	return nil
}

// single insists that the content has one name. A second one is a feeder's
// step; if it lasts, it is either that feeder's death, which is mended by
// removing the older name, or somebody's trick, which makes the message
// malformed.
func (c *Claim) single(box Box, name string) error {
	st, err := fstat(int(c.locked.Fd()))
	if err != nil {
		return fmt.Errorf("%s/%s: %w", box, name, err)
	}
	if st.Nlink == 1 {
		return nil
	}
	// The box as well: a look into new must not use up the minute of cur.
	what := sighting{state: ErrLinked, id: box.String() + "/" + name, inode: uint64(st.Ino)}
	if !c.s.odd.lasted(c.s.now(), what) {
		return ErrLinked
	}
	if err := c.s.removeOlderNames(box, name, &st); err != nil {
		return err
	}
	if err := c.s.removeNamesInBad(&st); err != nil {
		return err
	}
	if st, err = fstat(int(c.locked.Fd())); err != nil {
		return fmt.Errorf("%s/%s: %w", box, name, err)
	}
	if st.Nlink > 1 {
		c.why = fmt.Errorf("content has %d links", st.Nlink)
		return nil
	}
	c.s.odd.forget(what)
	return nil
}

// removeOlderNames removes what a crash between link and unlink left: names of
// the locked inode in the boxes that a message passes before this one.
func (s *Spool) removeOlderNames(box Box, name string, st *unix.Stat_t) error {
	for older := Tmp; older < box; older++ {
		err := s.Scan(older, func(e Entry) error {
			other, err := lstat(s.dirs[older], e.Name)
			if err != nil || !sameFile(&other, st) {
				return nil
			}
			s.log.Warn("recovered", "file", older.String()+"/"+e.Name, "what", "older name of "+box.String()+"/"+name+" removed")
			return s.sys.unlink(s.dirs[older], e.Name)
		})
		if err != nil {
			return fmt.Errorf("%s: %w", older, err)
		}
	}
	return nil
}

// removeNamesInBad ends a move to bad, or back from there, that was cut short,
// where the locked inode has a name in bad as well. With no envelope beside it,
// nothing was decided, and the name there goes; with the very one that is in cur,
// that one goes; with the very one that is in new, both names in bad do. A drop's
// name there goes: whatever is wrong with the drop will be found again.
func (s *Spool) removeNamesInBad(st *unix.Stat_t) error {
	return s.Scan(Bad, func(e Entry) error {
		other, err := lstat(s.dirs[Bad], e.Name)
		if err != nil || !sameFile(&other, st) {
			return nil
		}
		env := e.ID + KindEnvelope.Suffix()
		decided, err := lstat(s.dirs[Bad], env)
		if e.Kind == KindDrop {
			return errors.Join(s.sys.unlink(s.dirs[Bad], e.Name), ignoreNotExist(s.sys.unlink(s.dirs[Bad], env)))
		}
		if errors.Is(err, fs.ErrNotExist) {
			return s.sys.unlink(s.dirs[Bad], e.Name)
		}
		if err != nil || decided.Nlink == 1 {
			return err
		}
		if sent, err := lstat(s.dirs[New], env); err == nil && sameFile(&sent, &decided) {
			return errors.Join(s.sys.unlink(s.dirs[Bad], env), s.sys.unlink(s.dirs[Bad], e.Name))
		}
		return s.removeSame(Cur, &decided, KindEnvelope)
	})
}

// removeSame removes the names of that kind in a box that stand for the inode.
func (s *Spool) removeSame(box Box, st *unix.Stat_t, kind Kind) error {
	return s.Scan(box, func(e Entry) error {
		if e.Kind != kind {
			return nil
		}
		other, err := lstat(s.dirs[box], e.Name)
		if err != nil || !sameFile(&other, st) {
			return nil
		}
		return s.sys.unlink(s.dirs[box], e.Name)
	})
}
