package main

import (
	"errors"
	"fmt"
	"os"
	"os/user"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"smap/internal/sysexits"
	"smap/spoolfmt"
)

type initOptions struct {
	user  string
	group string
}

func (a *app) initCommand() *cobra.Command {
	var o initOptions
	c := &cobra.Command{
		Use:   "init [flags]",
		Short: "Make a spool, with the right owner and modes",
		Long: `Init makes the spool's directory and its boxes, or gives existing ones the owner
and the modes that they need. The directory above must exist.

Without --group the spool is private: its user feeds and drains it. With --group
the members of the group can feed it, and can neither read nor change each
other's mail.`,
		Example: `  smapq -d ~/spool init
  smapq -d /var/spool/smap init --user smapd --group smapfeed`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error { return a.init(o) },
	}
	f := c.Flags()
	f.StringVar(&o.user, "user", "", "the spool belongs to `USER`, who drains it; for root")
	f.StringVar(&o.group, "group", "", "members of `GROUP` can feed it")
	return c
}

// An ownership is a spool's owner, and the group of its feeders, -1 without.
type ownership struct{ uid, gid, feeders int }

func (o *initOptions) ownership() (ownership, error) {
	who := ownership{uid: os.Geteuid(), gid: os.Getegid(), feeders: -1}
	if o.user != "" {
		u, err := user.Lookup(o.user)
		if err != nil {
			if u, err = user.LookupId(o.user); err != nil {
				return who, failf(sysexits.NoUser, "no user %q", o.user)
			}
		}
		who.uid, _ = strconv.Atoi(u.Uid) // numbers on every Unix
		who.gid, _ = strconv.Atoi(u.Gid)
	}
	if o.group != "" {
		g, err := user.LookupGroup(o.group)
		if err != nil {
			if g, err = user.LookupGroupId(o.group); err != nil {
				return who, failf(sysexits.NoUser, "no group %q", o.group)
			}
		}
		who.feeders, _ = strconv.Atoi(g.Gid)
		if who.feeders == who.gid {
			return who, usagef("--group %s is the spool's own group: its members could read each other's mail", o.group)
		}
	}
	return who, nil
}

// init makes the spool. It may be repeated; what is in the boxes stays.
func (a *app) init(o initOptions) error {
	who, err := o.ownership()
	if err != nil {
		return err
	}
	dir, badDir, err := a.locate()
	if err != nil {
		return err
	}
	fd, err := makeDir(unix.AT_FDCWD, dir, dir)
	if err != nil {
		return err
	}
	defer unix.Close(fd) // a directory; nothing is written through it
	for b := spoolfmt.Tmp; b <= spoolfmt.Bad; b++ {
		if b == spoolfmt.Bad && badDir != "" {
			continue // the table's business
		}
		box, err := makeDir(fd, b.String(), filepath.Join(dir, b.String()))
		if err != nil {
			return err
		}
		err = own(box, filepath.Join(dir, b.String()), who.uid, who.gid, spoolfmt.BoxMode(b, who.feeders >= 0))
		if err = errors.Join(err, unix.Close(box)); err != nil {
			return err
		}
	}
	gid, mode := who.gid, uint32(spoolfmt.PrivateMode)
	if who.feeders >= 0 {
		gid, mode = who.feeders, spoolfmt.SharedMode
	}
	// Last: only now may anybody come in.
	if err := own(fd, dir, who.uid, gid, mode); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s is a spool\n", dir)
	return err
}

// makeDir makes a directory where there is none and opens it, not through a
// link.
func makeDir(at int, name, path string) (int, error) {
	if err := unix.Mkdirat(at, name, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return -1, &os.PathError{Op: "mkdir", Path: path, Err: err}
	}
	fd, err := unix.Openat(at, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// own gives an open directory its owner and mode, and makes that durable.
func own(fd int, path string, uid, gid int, mode uint32) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	if int(st.Uid) != uid || int(st.Gid) != gid {
		if err := unix.Fchown(fd, uid, gid); err != nil {
			return &os.PathError{Op: "chown", Path: path, Err: err}
		}
	}
	if err := unix.Fchmod(fd, mode); err != nil {
		return &os.PathError{Op: "chmod", Path: path, Err: err}
	}
	if err := unix.Fsync(fd); err != nil {
		return &os.PathError{Op: "fsync", Path: path, Err: err}
	}
	return nil
}
