package jail

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// lookupLimits are those of the process that looks up names: it writes no file.
func lookupLimits(maxOpen uint64) error {
	return errors.Join(limit("core", unix.RLIMIT_CORE, 0), limit("descriptors", unix.RLIMIT_NOFILE, maxOpen),
		limit("file size", unix.RLIMIT_FSIZE, 0), noDump())
}

// limits keeps what a process may use up within what it needs, and its memory,
// which holds other people's mail and perhaps keys, out of core files. There is
// no limit of processes: threads count as such on some systems.
func limits(j *Needs) error {
	err := errors.Join(limit("core", unix.RLIMIT_CORE, 0), limit("descriptors", unix.RLIMIT_NOFILE, j.MaxOpen), noDump())
	// The limit would hold for a log file, too, however large that is already.
	if j.MaxFile > 0 && !logsToFile() {
		err = errors.Join(err, limit("file size", unix.RLIMIT_FSIZE, j.MaxFile))
	}
	return err
}

// limit lowers a limit for good. If it cannot be raised to n, it is
// lower already.
func limit(name string, resource int, n uint64) error {
	err := unix.Setrlimit(resource, &unix.Rlimit{Cur: limitValue(n), Max: limitValue(n)})
	if err != nil && err != unix.EPERM {
		return fmt.Errorf("limit of %s: %w", name, err)
	}
	return nil
}

// logsToFile tells whether standard error is a file on a disk.
func logsToFile() bool {
	var st unix.Stat_t
	return unix.Fstat(2, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFREG
}
