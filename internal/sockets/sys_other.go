//go:build !linux

package sockets

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Accept takes one connection from a listening socket. The descriptor does not
// block and does not cross exec.
func Accept(l int) (int, unix.Sockaddr, error) {
	fd, peer, err := unix.Accept(l)
	if err != nil {
		return -1, nil, err
	}
	unix.CloseOnExec(fd)
	if err := unix.SetNonblock(fd, true); err != nil {
		return -1, nil, errors.Join(err, unix.Close(fd))
	}
	return fd, peer, nil
}

// Dup makes to the same as from, open across exec.
func Dup(from, to int) error { return unix.Dup2(from, to) }
