package jail

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"

	"smap/internal/jail/capability"
	"smap/internal/jail/landlock"
	"smap/internal/jail/seccomp"
)

func lookupParts() []lookupPart {
	return []lookupPart{
		{"limits", func(n *LookupNeeds) error { return lookupLimits(n.MaxOpen) }},
		{"capabilities", func(*LookupNeeds) error { return capability.Drop() }},
		{"no_new_privs", func(*LookupNeeds) error { return capability.NoNewPrivs() }},
		{"landlock", onlyRead},
		{"seccomp", filterLookup},
	}
}

// onlyRead leaves reading below some directories of the file system.
func onlyRead(n *LookupNeeds) (err error) {
	var rules []landlock.Rule
	for _, dir := range n.Dirs {
		fd, oerr := unix.Open(dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if oerr != nil {
			return &os.PathError{Op: "open", Path: dir, Err: oerr}
		}
		defer func() { err = errors.Join(err, unix.Close(fd)) }()
		rules = append(rules, landlock.Rule{Dir: fd, Access: unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR})
	}
	return landlock.RestrictFiles(rules...)
}

func filterLookup(*LookupNeeds) error {
	p, err := seccomp.Program(lookupRules(uint32(os.Getpid())))
	if err != nil {
		return err
	}
	return seccomp.Install(p)
}
