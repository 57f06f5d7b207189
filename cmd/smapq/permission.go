package main

import (
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"

	"smap/internal/sysexits"
	"smap/spoolfmt"
)

// mayFeed explains to a user why a shared spool does not take mail: not a member
// of its group, or one whose session is older than the membership.
func mayFeed(dir string) error {
	top, oerr := owner(dir)
	if oerr != nil {
		return failf(sysexits.NoPerm, "%s: permission denied", dir)
	}
	if top.Mode&0o777 != spoolfmt.SharedMode {
		return failf(sysexits.NoPerm, "%s: permission denied: it belongs to user %s, and has no group of feeders (smapq init --group makes one)",
			dir, userName(int(top.Uid)))
	}
	group := strconv.Itoa(int(top.Gid))
	if g, err := user.LookupGroupId(group); err == nil {
		group = g.Name
	}
	who := whoCalls()
	if u, err := user.Current(); err == nil {
		if ids, err := u.GroupIds(); err == nil && slices.Contains(ids, strconv.Itoa(int(top.Gid))) {
			return failf(sysexits.NoPerm, "%s: permission denied: you were added to group %s after you logged in; log in again", dir, group)
		}
	}
	return failf(sysexits.NoPerm, "%s: permission denied: you are not in group %s (usermod -a -G %s %s, then log in again)", dir, group, group, who.name)
}

func userName(uid int) string {
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return u.Username
	}
	return fmt.Sprint(uid)
}

// mayLook explains who can look into a spool.
func mayLook(dir string) error {
	top, err := owner(dir)
	if err != nil {
		return failf(sysexits.NoPerm, "%s: permission denied", dir)
	}
	name := userName(int(top.Uid))
	if os.Geteuid() == int(top.Uid) {
		return failf(sysexits.NoPerm, "%s: permission denied, although it is yours: smapq check shows which mode is wrong", dir)
	}
	return failf(sysexits.NoPerm, "%s: permission denied: only %s and root can do this (sudo -u %s smapq ...); others can submit mail", dir, name, name)
}
