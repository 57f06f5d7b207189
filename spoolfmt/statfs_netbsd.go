package spoolfmt

import "golang.org/x/sys/unix"

func free(fd int) (bytes, inodes uint64, err error) {
	var st unix.Statvfs_t
	if err := again(func() error { return unix.Fstatvfs(fd, &st) }); err != nil {
		return 0, 0, err
	}
	return st.Bavail * st.Frsize, noLimit(st.Files, st.Favail), nil
}
