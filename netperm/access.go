package netperm

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// CanWrite returns why a user cannot make files in a directory, nil if the user
// can. For another user than the caller only owner, group and mode count: no
// supplementary groups, which the programs give up, and no ACLs.
func CanWrite(dir string, uid, gid int) error {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Stat(dir, &st) }); err != nil {
		return &os.PathError{Op: "stat", Path: dir, Err: err}
	}
	if uint32(st.Mode)&unix.S_IFMT != unix.S_IFDIR {
		return &os.PathError{Op: "open", Path: dir, Err: unix.ENOTDIR}
	}
	// Even root cannot write to a file system that is read-only.
	err := retry(func() error { return unix.Access(dir, unix.W_OK|unix.X_OK) })
	if err == unix.EROFS || err != nil && uid == os.Geteuid() {
		return &os.PathError{Op: "write", Path: dir, Err: err}
	}
	need := uint32(0o003)
	switch {
	case int(st.Uid) == uid:
		need = 0o300
	case int(st.Gid) == gid:
		need = 0o030
	}
	if uid != os.Geteuid() && uint32(st.Mode)&need != need {
		return fmt.Errorf("user %d, group %d cannot write to %s, which has mode %04o, user %d, group %d: %w",
			uid, gid, printablePath(dir), uint32(st.Mode)&0o7777, st.Uid, st.Gid, unix.EACCES)
	}
	return nil
}
