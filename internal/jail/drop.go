// Package jail takes a program's privileges away and proves that they are gone.
// The process can never undo it.
package jail

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// Drop makes root an ordinary user: chroot into dir, no supplementary groups,
// then gid, then uid, in all threads; then it proves that nothing leads back.
// After an error the process must end.
func Drop(dir string, uid, gid int) error {
	if uid <= 0 || gid <= 0 {
		return fmt.Errorf("drop to uid %d, gid %d: those are root's", uid, gid)
	}
	// The syscall package changes every thread, or ends the process.
	for _, step := range []struct {
		name string
		take func() error
	}{
		{"chroot " + dir, func() error { return syscall.Chroot(dir) }},
		{"chdir in the chroot", func() error { return os.Chdir("/") }},
		{"setgroups", func() error { return setgroups(gid) }},
		{"setgid " + strconv.Itoa(gid), func() error { return setgid(gid) }},
		{"setuid " + strconv.Itoa(uid), func() error { return setuid(uid) }},
	} {
		if err := step.take(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return prove(uid, gid)
}

// setgroups leaves no group but one. Under inetd there often is none to leave, and
// each change stops all threads.
func setgroups(gid int) error {
	if groups, err := unix.Getgroups(); err == nil && len(groups) == 0 {
		return nil
	}
	return syscall.Setgroups([]int{gid})
}

var errNotGone = errors.New("privileges are not gone")

// prove tries to get root back in every way there is. One thread tries for all:
// that it cannot is what counts, and the syscall package would stop the others
// each time.
func prove(uid, gid int) error {
	if os.Getuid() != uid || os.Geteuid() != uid || os.Getgid() != gid || os.Getegid() != gid {
		return fmt.Errorf("%w: uid %d, euid %d, gid %d, egid %d", errNotGone, os.Getuid(), os.Geteuid(), os.Getgid(), os.Getegid())
	}
	groups, err := unix.Getgroups()
	if err != nil || slices.ContainsFunc(groups, func(g int) bool { return g != gid }) {
		return errors.Join(fmt.Errorf("%w: groups %v", errNotGone, groups), err)
	}
	for _, back := range []struct {
		name string
		err  error
	}{
		{"setuid(0)", tryRoot()},
		{"setreuid(0, 0)", unix.Setreuid(0, 0)},
		{"setregid(0, 0)", unix.Setregid(0, 0)},
		{"setgroups(0)", unix.Setgroups([]int{0})},
	} {
		if back.err == nil {
			return fmt.Errorf("%w: %s succeeded", errNotGone, back.name)
		}
	}
	return proveSystem(uid, gid)
}
