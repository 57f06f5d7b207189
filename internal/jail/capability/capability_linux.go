package capability

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// None tells whether the calling thread has no capability, not even one that it
// could only inherit.
func None() (bool, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return false, fmt.Errorf("capget: %w", err)
	}
	return caps == [2]unix.CapUserData{}, nil
}

// Drop empties the sets: effective, permitted, inheritable, and with these the
// ambient one. Where setuid has done it there is nothing to do.
func Drop() error {
	if none, err := None(); none || err != nil {
		return err
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	// The pointers are made in the call, so that what they point to stays where it is.
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&header)), uintptr(unsafe.Pointer(&caps)), 0)
	return asError(errno)
}

// NoNewPrivs makes exec grant nothing any more: neither set-user-id bits nor file
// capabilities count.
func NoNewPrivs() error { return prctl(unix.PR_SET_NO_NEW_PRIVS, 1) }

// EmptyBoundingSet makes it impossible for root, even, to hand a capability to a
// program that it starts. It takes two or three milliseconds: forty calls, each
// of which stops all threads.
func EmptyBoundingSet() error {
	for c := uintptr(0); ; c++ {
		held, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
		if err != nil {
			return nil // past the last one
		}
		if held == 0 {
			continue
		}
		if err := prctl(unix.PR_CAPBSET_DROP, c); err != nil {
			return fmt.Errorf("bounding set: %w", err)
		}
	}
}

// prctl makes a call in all threads; its arguments are no pointers.
func prctl(option, arg uintptr) error {
	_, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, option, arg, 0)
	return asError(errno)
}

func asError(errno syscall.Errno) error {
	switch errno {
	case 0:
		return nil
	case unix.ENOTSUP:
		return errors.New("a program built with cgo cannot; build with CGO_ENABLED=0")
	}
	return errno
}
