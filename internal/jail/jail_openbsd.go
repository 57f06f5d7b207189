package jail

import (
	"errors"

	"golang.org/x/sys/unix"
)

func parts() []part {
	return []part{{"limits", limits}, {"unveil", unveil}, {"pledge", pledge}}
}

// unveil leaves tmp and new of the file system.
func unveil(j *Needs) error {
	return errors.Join(unix.Unveil(j.TmpPath, "rwc"), unix.Unveil(j.NewPath, "rc"), unix.UnveilBlock())
}

// pledge promises to use the descriptors that are open, and to make, move, lock
// and remove files. Accepting connections is part of inet, which would allow
// making them as well: SECURITY.md says so.
func pledge(j *Needs) error {
	promises := "stdio rpath wpath cpath fattr flock"
	if j.Accept {
		promises += " inet"
	}
	return unix.Pledge(promises, "")
}

// limitValue is what limits are counted in.
type limitValue = uint64
