package jail

import (
	"fmt"

	"golang.org/x/sys/unix"
)

func parts() []part {
	return []part{{"limits", limits}, {"capsicum", capsicum}}
}

// What may be done through each of the directories; files that are opened there
// inherit it. In new a name can be made by link(2), which never replaces one, and
// nothing can be opened, renamed or removed.
var (
	newRights = []uint64{unix.CAP_LOOKUP, unix.CAP_FSTAT, unix.CAP_FSTATFS, unix.CAP_FSYNC, unix.CAP_LINKAT_TARGET}
	tmpRights = []uint64{unix.CAP_LOOKUP, unix.CAP_CREATE, unix.CAP_WRITE, unix.CAP_SEEK, unix.CAP_FSTAT,
		unix.CAP_FSYNC, unix.CAP_FCHMOD, unix.CAP_FLOCK, unix.CAP_FTRUNCATE, unix.CAP_FCNTL, unix.CAP_LINKAT_SOURCE, unix.CAP_UNLINKAT}
)

// capsicum limits the directories and enters capability mode: from then on no
// name is known but those below open directories.
func capsicum(j *Needs) error {
	for _, d := range []struct {
		fd     int
		rights []uint64
	}{{j.Tmp, tmpRights}, {j.New, newRights}} {
		rights, err := unix.CapRightsInit(d.rights)
		if err == nil {
			err = unix.CapRightsLimit(uintptr(d.fd), rights)
		}
		if err != nil {
			return fmt.Errorf("rights: %w", err)
		}
	}
	return unix.CapEnter()
}

// limitValue is what limits are counted in.
type limitValue = int64
