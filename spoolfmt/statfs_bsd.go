//go:build freebsd || darwin

package spoolfmt

import "golang.org/x/sys/unix"

func free(fd int) (bytes, inodes uint64, err error) {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(fd, &st) }); err != nil {
		return 0, 0, err
	}
	// FreeBSD counts below zero when only root's reserve is left.
	avail, files := int64(st.Bavail), int64(st.Ffree)
	return uint64(max(avail, 0)) * uint64(st.Bsize), noLimit(st.Files, uint64(max(files, 0))), nil
}
