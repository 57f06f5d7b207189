package spoolfmt

import "golang.org/x/sys/unix"

func free(fd int) (bytes, inodes uint64, err error) {
	var st unix.Statfs_t
	if err := again(func() error { return unix.Fstatfs(fd, &st) }); err != nil {
		return 0, 0, err
	}
	return st.Bavail * uint64(st.Bsize), noLimit(st.Files, st.Ffree), nil
}
