package spoolfmt

import "golang.org/x/sys/unix"

// searchOnly opens a directory that may be entered but not read.
const searchOnly = unix.O_SEARCH

// fsync asks the drive to empty its cache as well: on darwin fsync(2) alone
// does not survive a power cut. Not every file system knows the call.
func fsync(fd int) error {
	_, err := unix.FcntlInt(uintptr(fd), unix.F_FULLFSYNC, 0)
	if err == unix.ENOTSUP || err == unix.ENOTTY || err == unix.EINVAL {
		return unix.Fsync(fd)
	}
	return err
}
