package sockets

import "golang.org/x/sys/unix"

// Accept takes one connection from a listening socket. The descriptor does not
// block and does not cross exec.
func Accept(l int) (int, unix.Sockaddr, error) {
	return unix.Accept4(l, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
}

// Dup makes to the same as from, open across exec.
func Dup(from, to int) error { return unix.Dup3(from, to, 0) }
