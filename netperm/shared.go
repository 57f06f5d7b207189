package netperm

import (
	"errors"
	"os"
	"path"
)

// SharedUser returns a warning if the table at path makes smap and smapd one
// user, as old tables do. It is for a person who checks a table: it reads the
// table twice more. Of a table with errors it says nothing.
func SharedUser(path string) []*Error {
	var uids [2]int
	var line *Error
	for i, program := range []string{"smap", "smapd"} {
		t, err := Load(path, program)
		if err != nil {
			return nil
		}
		if uids[i], _, err = t.Identity(); err != nil || uids[i] < 0 {
			return nil
		}
		if i == 0 {
			line = t.Errorf(UserID, "smap and smapd are one user: only the sandbox keeps a smap that is broken into from the mail in the spool; use two users")
		}
	}
	if uids[0] != uids[1] {
		return nil
	}
	return []*Error{line}
}

// Replaceable returns a warning if somebody else could put another spool in the
// place of the one that a table names, since what is above it is not trusted as
// [CheckFile] has it. It is for a person who checks a table.
func (t *Table) Replaceable() []*Error {
	dir := t.String(Directory)
	above := []string{path.Dir(dir)}
	if to, err := os.Readlink(dir); err == nil {
		if !path.IsAbs(to) {
			to = path.Join(above[0], to)
		}
		above = append(above, path.Dir(to))
	}
	for _, p := range above {
		if err := checkDirectory(p); errors.Is(err, ErrUntrusted) {
			return []*Error{t.Errorf(Directory, "%w: anyone who can write there can replace the spool", err)}
		}
	}
	return nil
}
