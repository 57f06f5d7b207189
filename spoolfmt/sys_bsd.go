//go:build freebsd || openbsd || netbsd

package spoolfmt

import "golang.org/x/sys/unix"

func fsync(fd int) error { return unix.Fsync(fd) }
