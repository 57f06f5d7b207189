package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"smap/internal/sysexits"
	"smap/netperm"
	"smap/spoolfmt"
)

// defaultSpool is the spool of users who cannot read the table, such as one whose
// cron job sends mail.
const defaultSpool = "/var/spool/smap"

// A place is where a spool is. badDir is another directory for what is set
// aside, if the table has one.
type place struct{ dir, badDir string }

// locate finds the spool, once: after root has become its owner, the table may
// not be readable any more.
func (a *app) locate() (dir, badDir string, err error) {
	if a.place == nil {
		if dir, badDir, err = a.search(); err != nil {
			return "", "", err
		}
		a.place = &place{dir, badDir}
	}
	return a.place.dir, a.place.badDir, nil
}

// search looks for the spool: -d, else the environment, else the table, else
// the default.
func (a *app) search() (dir, badDir string, err error) {
	dir = a.dir
	if dir == "" && a.table == "" {
		dir = a.getenv("SMAP_SPOOL")
	}
	if dir != "" {
		abs, err := filepath.Abs(dir)
		return abs, "", err
	}
	path := a.table
	if path == "" {
		path = netperm.DefaultPath()
	}
	t, err := netperm.Load(path, "smapd")
	switch {
	case err == nil:
	case a.table == "" && (errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission)):
		return defaultSpool, "", nil
	default:
		return "", "", unreadable(err)
	}
	dir = t.String(netperm.Directory)
	if dir == "" {
		return "", "", failf(sysexits.Config, "%s has no directory rule for smapd; name the spool with -d DIR", path)
	}
	badDir = t.String(netperm.BadDir)
	if badDir == filepath.Join(dir, spoolfmt.Bad.String()) {
		badDir = ""
	}
	return dir, badDir, nil
}

// An opener is one of spoolfmt's ways to open a spool.
type opener func(string, spoolfmt.Options) (*spoolfmt.Spool, error)

// open opens the spool for a command. Root becomes the spool's owner first, so
// that no file of root's comes into it that its drainer could not read, and so
// that strangers' mail is not handled with root's rights.
func (a *app) open(how opener) (*spoolfmt.Spool, error) { return a.openAs(how, mayLook) }

// feeder opens the spool to put mail into it. From here on the umask takes nothing from the group, which is the drainer's:
// a file must have its mode at once, because after a power cut btrfs can have the mode of the creation.
func (a *app) feeder() (*spoolfmt.Spool, error) {
	syscall.Umask(syscall.Umask(0o077) &^ 0o070)
	return a.openAs(spoolfmt.OpenFeeder, mayFeed)
}

// openAs is open with the explanation of a denied permission.
func (a *app) openAs(how opener, denied func(dir string) error) (*spoolfmt.Spool, error) {
	dir, badDir, err := a.locate()
	if err != nil {
		return nil, err
	}
	if err := a.become(dir); err != nil {
		return nil, err
	}
	s, err := how(dir, spoolfmt.Options{BadDir: badDir, Log: a.log(), Host: hostName()})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, failf(sysexits.NoInput, "%w; smapq init makes a spool, -d names another", err)
	case errors.Is(err, fs.ErrPermission):
		return nil, denied(dir)
	case err != nil:
		return nil, err
	}
	return s, nil
}

// view opens the spool to look at it. Who may not look into cur sees nothing
// that would be of use.
func (a *app) view() (*spoolfmt.Spool, error) {
	s, err := a.open(spoolfmt.OpenViewer)
	if err != nil {
		return nil, err
	}
	for b := spoolfmt.Tmp; b <= spoolfmt.Bad; b++ {
		err := s.Missing(b)
		switch {
		case err == nil, b == spoolfmt.Tmp && errors.Is(err, fs.ErrPermission):
			continue
		case errors.Is(err, fs.ErrPermission):
			err = mayLook(filepath.Dir(s.Path(b)))
		case b == spoolfmt.New && errors.Is(err, fs.ErrNotExist):
			err = failf(sysexits.NoInput, "%s is no spool: it has no new/; smapq init makes one", filepath.Dir(s.Path(b)))
		case errors.Is(err, fs.ErrNotExist):
			continue
		}
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// become makes root the owner of the spool.
func (a *app) become(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	top, err := owner(dir)
	if err != nil || top.Uid == 0 {
		return nil // opening it says what is wrong
	}
	gid := top.Gid
	if cur, err := owner(filepath.Join(dir, spoolfmt.Cur.String())); err == nil {
		gid = cur.Gid // of a shared spool: the drainer's group, not the feeders'
	}
	if err := syscall.Setgroups([]int{int(gid)}); err != nil {
		return failf(sysexits.OSErr, "setgroups: %w", err)
	}
	if err := syscall.Setgid(int(gid)); err != nil {
		return failf(sysexits.OSErr, "setgid: %w", err)
	}
	if err := syscall.Setuid(int(top.Uid)); err != nil {
		return failf(sysexits.OSErr, "setuid: %w", err)
	}
	return nil
}

func owner(dir string) (*syscall.Stat_t, error) {
	st, err := os.Stat(dir)
	if err != nil {
		return nil, err
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return sys, nil
}
