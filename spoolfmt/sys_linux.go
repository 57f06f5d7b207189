package spoolfmt

import (
	"bytes"
	"errors"
	"strconv"

	"golang.org/x/sys/unix"
)

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

// syncfs is trusted where it is known to write data, names and the journal, to
// make the disk empty its cache, and to report a failure: on these file systems,
// from Linux 5.17 on. (5.8 began to report errors of contents, but dropped those
// of the file system itself, such as its journal's, until 5.17.) FUSE and NFS
// leave more to a file's own fsync.
func syncfs(fd int) error {
	var st unix.Statfs_t
	if err := unix.Fstatfs(fd, &st); err != nil {
		return err
	}
	switch uint32(st.Type) { // signed, and short, on some machines
	case unix.EXT4_SUPER_MAGIC, unix.XFS_SUPER_MAGIC, unix.BTRFS_SUPER_MAGIC, unix.TMPFS_MAGIC:
		if kernelSince(5, 17) {
			return syncfsWritable(fd)
		}
	}
	return errors.ErrUnsupported
}

// syncfsWritable does not believe a sync of a file system that is read-only. The
// kernel then does nothing and reports success, even where trouble with the disk
// made it so (errors=remount-ro), and what is not written yet never will be. So
// the look comes after the sync.
func syncfsWritable(fd int) error {
	if err := unix.Syncfs(fd); err != nil {
		return err
	}
	var st unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(fd, &st) }); err != nil {
		return err
	}
	if st.Flags&unix.ST_RDONLY != 0 {
		return unix.EROFS
	}
	return nil
}

// kernelSince tells whether the kernel has at least this version.
func kernelSince(major, minor int) bool {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return false
	}
	parts := bytes.FieldsFunc(u.Release[:], func(r rune) bool { return r < '0' || r > '9' })
	if len(parts) < 2 {
		return false
	}
	a, aerr := strconv.Atoi(string(parts[0]))
	b, berr := strconv.Atoi(string(parts[1]))
	return aerr == nil && berr == nil && (a > major || a == major && b >= minor)
}

// memoryFile makes a file that is only in memory.
func memoryFile() (int, error) { return unix.MemfdCreate("copy", unix.MFD_CLOEXEC) }

func startWriting(fd int) {
	_ = unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WRITE) // fsync does it, too
}

// awaitWriting waits for what startWriting began. ext4 changes a file's extents
// when its octets have reached the disk: a sync of another file that comes before
// that does not include the change, and this file then needs a commit of its own.
func awaitWriting(fd int) {
	_ = unix.SyncFileRange(fd, 0, 0, unix.SYNC_FILE_RANGE_WAIT_BEFORE)
}
