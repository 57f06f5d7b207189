//go:build !linux

package sockets

import "golang.org/x/sys/unix"

// closeFrom ends where inherited descriptors are not to be expected any more.
func closeFrom(first int) {
	for fd := first; fd < 4096; fd++ {
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err == nil && flags&unix.FD_CLOEXEC == 0 {
			_ = unix.Close(fd)
		}
	}
}
