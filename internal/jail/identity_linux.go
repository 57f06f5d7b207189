package jail

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"

	"smap/internal/jail/capability"
)

func setuid(uid int) error { return syscall.Setresuid(uid, uid, uid) }
func setgid(gid int) error { return syscall.Setresgid(gid, gid, gid) }

// tryRoot is setuid(0) of one thread.
func tryRoot() error {
	if _, _, errno := unix.RawSyscall(unix.SYS_SETUID, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// proveSystem looks at the saved ids and the capabilities, which Linux keeps
// beside the ids.
func proveSystem(uid, gid int) error {
	r, e, s := unix.Getresuid()
	gr, ge, gs := unix.Getresgid()
	if r != uid || e != uid || s != uid || gr != gid || ge != gid || gs != gid {
		return fmt.Errorf("%w: uids %d %d %d, gids %d %d %d", errNotGone, r, e, s, gr, ge, gs)
	}
	none, err := capability.None()
	if err == nil && !none {
		err = fmt.Errorf("%w: capabilities are left", errNotGone)
	}
	return err
}
