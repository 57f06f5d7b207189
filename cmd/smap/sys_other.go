//go:build !linux

package main

import "golang.org/x/sys/unix"

func dup2(from, to int) error { return unix.Dup2(from, to) }

func acceptOne(l int) (int, unix.Sockaddr, error) {
	fd, peer, err := unix.Accept(l)
	if err == nil {
		unix.CloseOnExec(fd)
		err = unix.SetNonblock(fd, true)
	}
	return fd, peer, err
}
