package spoolfmt

import "golang.org/x/sys/unix"

func free(fd int) (bytes, inodes uint64, err error) {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(fd, &st) }); err != nil {
		return 0, 0, err
	}
	return uint64(max(st.F_bavail, 0)) * uint64(st.F_bsize), noLimit(st.F_files, uint64(max(st.F_favail, 0))), nil
}
