package main

import "golang.org/x/sys/unix"

func dup2(from, to int) error { return unix.Dup3(from, to, 0) }

func acceptOne(l int) (int, unix.Sockaddr, error) {
	return unix.Accept4(l, unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC)
}
