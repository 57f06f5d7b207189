package spoolfmt

import (
	"cmp"
	"errors"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// syscalls are the calls that change a spool. A test replaces one to make it
// fail at a chosen step; nothing else does.
type syscalls struct {
	open     func(dir int, name string, flags int, mode uint32) (int, error)
	write    func(fd int, p []byte) (int, error)
	fsync    func(fd int) error
	close    func(fd int) error
	move     func(fromDir int, from string, toDir int, to string) error // refuses to replace
	replace  func(fromDir int, from string, toDir int, to string) error // rename(2)
	link     func(fromDir int, from string, toDir int, to string) error
	unlink   func(dir int, name string) error
	reserve  func(fd int, size int64) error
	truncate func(fd int, size int64) error
	fstat    func(fd int) (unix.Stat_t, error)
	lstat    func(dir int, name string) (unix.Stat_t, error)
	lock     func(fd int) error
	touch    func(fd int, mode uint32) error // fchmod to the mode that the file has
	// syncfs makes all of a file system durable, errors.ErrUnsupported where
	// that cannot be trusted.
	syncfs func(fd int) error
	// startWriting begins to write a file's octets to the disk; only a hint.
	startWriting func(fd int)
	awaitWriting func(fd int)
}

func systemCalls() syscalls {
	return syscalls{
		open: func(dir int, name string, flags int, mode uint32) (fd int, err error) {
			err = again(func() error {
				fd, err = unix.Openat(dir, name, flags|unix.O_CLOEXEC|unix.O_NOFOLLOW, mode)
				return err
			})
			return fd, err
		},
		write: func(fd int, p []byte) (n int, err error) {
			err = again(func() error { n, err = unix.Write(fd, p); return err })
			return n, err
		},
		fsync: func(fd int) error { return again(func() error { return fsync(fd) }) },
		close: unix.Close, // after EINTR the descriptor is gone: never again
		move:  moveNoReplace,
		replace: func(fromDir int, from string, toDir int, to string) error {
			return again(func() error { return unix.Renameat(fromDir, from, toDir, to) })
		},
		link: func(fromDir int, from string, toDir int, to string) error {
			return again(func() error { return unix.Linkat(fromDir, from, toDir, to, 0) })
		},
		unlink: func(dir int, name string) error {
			return again(func() error { return unix.Unlinkat(dir, name, 0) })
		},
		reserve: reserve,
		fstat:   fstat,
		lstat:   lstat,
		lock:    lock,
		touch: func(fd int, mode uint32) error {
			return again(func() error { return unix.Fchmod(fd, mode) })
		},
		truncate: func(fd int, size int64) error {
			return again(func() error { return unix.Ftruncate(fd, size) })
		},
		syncfs:       func(fd int) error { return again(func() error { return syncfs(fd) }) },
		startWriting: startWriting,
		awaitWriting: awaitWriting,
	}
}

// again repeats a call for as long as a signal interrupts it.
func again(call func() error) error {
	for {
		if err := call(); err != unix.EINTR {
			return err
		}
	}
}

// removeOdd removes what is no regular file. A directory goes only if it is empty.
func (s *Spool) removeOdd(box Box, name string) error {
	err := s.sys.unlink(s.dirs[box], name)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		if st, serr := s.lstat(box, name); serr == nil && isDirectory(&st) {
			err = again(func() error { return unix.Unlinkat(s.dirs[box], name, unix.AT_REMOVEDIR) })
		}
	}
	return err
}

// moveDirectory is for systems that move by link and unlink. rename can replace
// nothing with a directory but an empty directory.
func moveDirectory(fromDir int, from string, toDir int, to string) error {
	if _, err := lstat(toDir, to); err != unix.ENOENT {
		return cmp.Or(err, error(unix.EEXIST))
	}
	return again(func() error { return unix.Renameat(fromDir, from, toDir, to) })
}

// linkAndUnlink moves a name without replacing another, where the system has
// no call for that. A crash between the two leaves one inode under two names,
// which recovery knows. A repeated NFS request may report EEXIST after it
// succeeded: then both names are the same inode.
func linkAndUnlink(fromDir int, from string, toDir int, to string) error {
	err := again(func() error { return unix.Linkat(fromDir, from, toDir, to, 0) })
	if err == unix.EPERM || err == unix.EISDIR {
		if st, serr := lstat(fromDir, from); serr == nil && isDirectory(&st) {
			return moveDirectory(fromDir, from, toDir, to)
		}
	}
	if err == unix.EEXIST {
		a, aerr := lstat(fromDir, from)
		b, berr := lstat(toDir, to)
		if aerr != nil || berr != nil || !sameFile(&a, &b) {
			return err
		}
	} else if err != nil {
		return err
	}
	return unlinkLinked(fromDir, from, toDir, to)
}

// unlinkLinked is the second half of linkAndUnlink. Where the old name is gone,
// somebody else moved the file between the two calls, and has it; or the
// request was repeated, and the new name is the only one.
func unlinkLinked(fromDir int, from string, toDir int, to string) error {
	err := again(func() error { return unix.Unlinkat(fromDir, from, 0) })
	if err != unix.ENOENT {
		return err
	}
	st, serr := lstat(toDir, to)
	if serr == nil && st.Nlink == 1 {
		return nil
	}
	return errors.Join(err, again(func() error { return unix.Unlinkat(toDir, to, 0) }))
}

func lstat(dir int, name string) (st unix.Stat_t, err error) {
	err = again(func() error { return unix.Fstatat(dir, name, &st, unix.AT_SYMLINK_NOFOLLOW) })
	return st, err
}

func fstat(fd int) (st unix.Stat_t, err error) {
	err = again(func() error { return unix.Fstat(fd, &st) })
	return st, err
}

func sameFile(a, b *unix.Stat_t) bool { return a.Dev == b.Dev && a.Ino == b.Ino }

func isRegular(st *unix.Stat_t) bool { return uint32(st.Mode)&unix.S_IFMT == unix.S_IFREG }

func isDirectory(st *unix.Stat_t) bool { return uint32(st.Mode)&unix.S_IFMT == unix.S_IFDIR }

// lstat looks at a name in a box.
func (s *Spool) lstat(box Box, name string) (unix.Stat_t, error) {
	return s.sys.lstat(s.dirs[box], name)
}

// statIfThere is lstat, with Ino 0 where there is no such name.
func (s *Spool) statIfThere(box Box, name string) (unix.Stat_t, error) {
	st, err := s.lstat(box, name)
	if errors.Is(err, fs.ErrNotExist) {
		return unix.Stat_t{}, nil
	}
	return st, err
}

// exists tells whether a box has a name. A look that fails is an error, never a "no".
func (s *Spool) exists(box Box, name string) (bool, error) {
	st, err := s.statIfThere(box, name)
	return err == nil && st.Ino != 0, err
}

func lock(fd int) error {
	return again(func() error { return unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB) })
}

func unlock(fd int) error {
	return again(func() error { return unix.Flock(fd, unix.LOCK_UN) })
}

// setTimes gives an open file of the private name its access and
// modification time.
func setTimes(dir int, name string, t time.Time) error {
	ts, err := unix.TimeToTimespec(t)
	if err != nil {
		return err
	}
	return unix.UtimesNanoAt(dir, name, []unix.Timespec{ts, ts}, unix.AT_SYMLINK_NOFOLLOW)
}
