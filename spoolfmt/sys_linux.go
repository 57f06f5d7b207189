package spoolfmt

import "golang.org/x/sys/unix"

// searchOnly opens a directory that may be entered but not read, such as tmp
// for a feeder that is not the spool's owner.
const searchOnly = unix.O_PATH

// moveNoReplace uses link and unlink on the file systems that do not know
// RENAME_NOREPLACE, such as NFS, and on kernels without the call.
func moveNoReplace(fromDir int, from string, toDir int, to string) error {
	err := again(func() error {
		return unix.Renameat2(fromDir, from, toDir, to, unix.RENAME_NOREPLACE)
	})
	if err == unix.EINVAL || err == unix.ENOSYS {
		return linkAndUnlink(fromDir, from, toDir, to)
	}
	return err
}

func fsync(fd int) error { return unix.Fsync(fd) }

// reserve sets room on the disk apart for the first size octets of a file.
func reserve(fd int, size int64) error {
	err := again(func() error { return unix.Fallocate(fd, 0, 0, size) })
	if err == unix.EOPNOTSUPP || err == unix.ENOSYS {
		return fill(fd, size)
	}
	return err
}
