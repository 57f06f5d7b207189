// Package confine takes a program's privileges away and proves that they are
// gone. What it does can never be undone by the process.
package confine

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Drop makes root an ordinary user: chroot into dir (unless it is empty), no
// supplementary groups, then gid, then uid, in all threads; then it proves that
// nothing leads back. After an error the process must end.
func Drop(dir string, uid, gid int) error {
	if uid <= 0 || gid < 0 {
		return fmt.Errorf("drop to uid %d, gid %d: that is no unprivileged user", uid, gid)
	}
	if dir != "" {
		if err := syscall.Chroot(dir); err != nil {
			return fmt.Errorf("chroot %s: %w", dir, err)
		}
		if err := os.Chdir("/"); err != nil {
			return fmt.Errorf("chdir in the chroot: %w", err)
		}
	}
	// The syscall package changes every thread, or ends the process.
	if err := syscall.Setgroups([]int{gid}); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := setgid(gid); err != nil {
		return fmt.Errorf("setgid %d: %w", gid, err)
	}
	if err := setuid(uid); err != nil {
		return fmt.Errorf("setuid %d: %w", uid, err)
	}
	return prove(uid, gid)
}

var errNotGone = errors.New("privileges are not gone")

// prove tries to get root back in every way there is.
func prove(uid, gid int) error {
	if os.Getuid() != uid || os.Geteuid() != uid || os.Getgid() != gid || os.Getegid() != gid {
		return fmt.Errorf("%w: uid %d, euid %d, gid %d, egid %d", errNotGone, os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid())
	}
	groups, err := unix.Getgroups()
	if err != nil {
		return fmt.Errorf("getgroups: %w", err)
	}
	for _, g := range groups {
		if g != gid {
			return fmt.Errorf("%w: still in group %d", errNotGone, g)
		}
	}
	for _, back := range []struct {
		name string
		err  error
	}{
		{"setuid(0)", syscall.Setuid(0)},
		{"setreuid(0, 0)", syscall.Setreuid(0, 0)},
		{"setregid(0, 0)", regainGroup(gid)},
		{"setgroups(0)", syscall.Setgroups([]int{0})},
	} {
		if back.err == nil {
			return fmt.Errorf("%w: %s succeeded", errNotGone, back.name)
		}
	}
	return proveSystem(uid, gid)
}

// regainGroup tries to get group 0 back; for a user whose group that is there
// is nothing to regain.
func regainGroup(gid int) error {
	if gid == 0 {
		return unix.EPERM
	}
	return syscall.Setregid(0, 0)
}
