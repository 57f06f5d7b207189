package jail

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"

	"smap/internal/jail/capability"
	"smap/internal/jail/landlock"
	"smap/internal/jail/seccomp"
)

// parts are in order: the filter comes last because it forbids what the others
// have to call.
func parts() []part {
	return []part{
		{"limits", limits},
		{"capabilities", func(*Needs) error { return capability.Drop() }},
		{"no_new_privs", func(*Needs) error { return capability.NoNewPrivs() }},
		{"landlock", onlyTmpAndNew},
		{"seccomp", filterCalls},
	}
}

// What may be done below tmp and new. Files in tmp can be made, written and
// removed, but not read. What is in new cannot be read, written again, moved back
// or removed; only a descriptor that is open can empty it. Moves between
// directories need REFER.
const (
	inTmp = inNew | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE
	inNew = unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_REFER
)

func onlyTmpAndNew(j *Needs) error {
	return landlock.Restrict(landlock.Rule{Dir: j.Tmp, Access: inTmp}, landlock.Rule{Dir: j.New, Access: inNew})
}

func filterCalls(j *Needs) error {
	p, err := seccomp.Program(rulesFor(j, uint32(os.Getpid())))
	if err != nil {
		return err
	}
	return seccomp.Install(p)
}

// noDump keeps other processes of the same user out of our memory, and core
// dumps from programs that core_pattern names, which RLIMIT_CORE does not stop.
func noDump() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("not dumpable: %w", err)
	}
	return nil
}

// limitValue is what limits are counted in.
type limitValue = uint64
