package netperm

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// Where users and groups are listed. Package os/user is not used: it costs every
// start of smap more than the rest of the table does, and what it adds without
// cgo (nothing) or with it (a loader, NSS modules, sockets) smap should not have.
const (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"

	maxAccounts = 16 << 20 // octets of either file that are read
	maxAccount  = 64 << 10 // octets of one line: a group may have many members
)

// Identity resolves userid and groupid. Without groupid it is the user's own
// group. Names are looked up in /etc/passwd and /etc/group and nowhere else: a
// user whom only LDAP or NIS knows is written as a number, with a groupid. Call
// it before a chroot. Where userid is not written it returns -1, -1.
func (t *Table) Identity() (uid, gid int, err error) {
	return t.identity(passwdFile, groupFile)
}

// LookupIdentity resolves lookup-userid, with the user's own group. A number that
// is not in /etc/passwd is its group's number, too.
func (t *Table) LookupIdentity() (uid, gid int, err error) {
	user := t.String(LookupUserID)
	if id, numeric := parseID(user); numeric {
		if fields, err := findAccount(passwdFile, user, true, 7); err == nil && fields == nil && id != 0 {
			return int(id), int(id), nil
		}
	}
	return t.account(LookupUserID, "", passwdFile, groupFile)
}

func (t *Table) identity(passwd, group string) (uid, gid int, err error) {
	if !t.Has(UserID) {
		return -1, -1, nil
	}
	return t.account(UserID, t.String(GroupID), passwd, group)
}

// account resolves the user that a clause names, with a group of its own if grp
// is empty.
func (t *Table) account(c StringClause, grp, passwd, group string) (uid, gid int, err error) {
	user := t.String(c)
	id, numeric := parseID(user)
	if !numeric || grp == "" {
		fields, err := findAccount(passwd, user, numeric, 7)
		if err != nil {
			return -1, -1, t.Errorf(c, "%w", err)
		}
		primary, ok := uint32(0), true
		if fields != nil {
			id, ok = parseID(fields[2])
			var okGroup bool
			primary, okGroup = parseID(fields[3])
			ok = ok && okGroup
		}
		switch {
		case !ok:
			return -1, -1, t.Errorf(c, "the line of %s in %s is malformed", quoted(user), passwd)
		case fields == nil && !numeric:
			return -1, -1, t.Errorf(c, "no user %s in %s; for a user that is listed elsewhere, write the number and a groupid", quoted(user), passwd)
		case fields == nil:
			return -1, -1, t.Errorf(c, "user %s is not in %s, so its group is unknown; write a groupid", user, passwd)
		}
		gid = int(primary)
	}
	if grp != "" {
		if gid, err = t.groupID(group, grp); err != nil {
			return -1, -1, err
		}
	}
	switch {
	case id == 0:
		return -1, -1, t.Errorf(c, "%s is root; name another user", quoted(user))
	case gid == 0 && grp != "":
		return -1, -1, t.Errorf(GroupID, "%s is root's group; name another group", quoted(grp))
	case gid == 0:
		return -1, -1, t.Errorf(c, "the group of %s is root's; write a groupid", quoted(user))
	}
	return int(id), gid, nil
}

func (t *Table) groupID(file, grp string) (int, error) {
	if id, ok := parseID(grp); ok {
		return int(id), nil
	}
	fields, err := findAccount(file, grp, false, 4)
	if err != nil {
		return -1, t.Errorf(GroupID, "%w", err)
	}
	if fields == nil {
		return -1, t.Errorf(GroupID, "no group %s in %s; for a group that is listed elsewhere, write the number", quoted(grp), file)
	}
	id, ok := parseID(fields[2])
	if !ok {
		return -1, t.Errorf(GroupID, "the line of %s in %s is malformed", quoted(grp), file)
	}
	return int(id), nil
}

// findAccount finds the first line of a passwd or group file with the given name, or
// number, and returns its fields; nil if there is none. Lines with another
// number of fields are somebody else's problem and skipped, as libc does, and so
// are the "+" and "-" lines of NIS.
func findAccount(file, want string, byNumber bool, fields int) ([]string, error) {
	// Package os would make a poller, with its threads, to find out that a file on
	// a disk does not need one.
	fd, err := unix.Open(file, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: file, Err: err}
	}
	f := os.NewFile(uintptr(fd), file)
	defer f.Close() // only read
	r := bufio.NewReaderSize(io.LimitReader(f, maxAccounts), maxAccount)
	for {
		line, err := r.ReadSlice('\n')
		if errors.Is(err, bufio.ErrBufferFull) {
			if err := skipLine(r); err != nil {
				return nil, fmt.Errorf("read %s: %w", file, err)
			}
			continue
		}
		if err != nil && err != io.EOF {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
		if found := matchAccount(strings.TrimSuffix(string(line), "\n"), want, byNumber, fields); found != nil {
			return found, nil
		}
		if err == io.EOF {
			return nil, nil
		}
	}
}

// skipLine drops the rest of a line that did not fit the buffer.
func skipLine(r *bufio.Reader) error {
	for {
		switch _, err := r.ReadSlice('\n'); {
		case err == nil || err == io.EOF:
			return nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return err
		}
	}
}

func matchAccount(line, want string, byNumber bool, fields int) []string {
	if line == "" || line[0] == '+' || line[0] == '-' || line[0] == '#' {
		return nil
	}
	if !byNumber && !(strings.HasPrefix(line, want) && strings.HasPrefix(line[len(want):], ":")) {
		return nil
	}
	all := strings.Split(line, ":")
	if len(all) != fields {
		return nil
	}
	if byNumber {
		a, ok := parseID(all[2])
		b, _ := parseID(want)
		if !ok || a != b {
			return nil
		}
	}
	return all
}

// parseID reads a user or group number. The greatest one means "no change" to
// the system calls and is nobody's.
func parseID(s string) (uint32, bool) {
	if s == "" || strings.Trim(s, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseUint(s, 10, 32)
	return uint32(n), err == nil && n != 1<<32-1
}
