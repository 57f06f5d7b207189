//go:build !linux

package spoolfmt

import "golang.org/x/sys/unix"

// makeDevice makes a socket: device numbers differ from system to system.
func makeDevice(path string) error {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Bind(fd, &unix.SockaddrUnix{Name: path})
}
