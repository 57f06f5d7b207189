package confine

import (
	"fmt"
	"syscall"

	"golang.org/x/sys/unix"
)

func setuid(uid int) error { return syscall.Setresuid(uid, uid, uid) }
func setgid(gid int) error { return syscall.Setresgid(gid, gid, gid) }

// proveSystem looks at the saved ids and the capabilities, which Linux keeps
// beside the ids.
func proveSystem(uid, gid int) error {
	r, e, s := unix.Getresuid()
	gr, ge, gs := unix.Getresgid()
	if r != uid || e != uid || s != uid || gr != gid || ge != gid || gs != gid {
		return fmt.Errorf("%w: uids %d %d %d, gids %d %d %d", errNotGone, r, e, s, gr, ge, gs)
	}
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var caps [2]unix.CapUserData
	if err := unix.Capget(&header, &caps[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	for _, c := range caps {
		if c.Effective != 0 || c.Permitted != 0 || c.Inheritable != 0 {
			return fmt.Errorf("%w: capabilities %x %x %x", errNotGone, c.Effective, c.Permitted, c.Inheritable)
		}
	}
	return nil
}
