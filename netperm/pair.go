package netperm

import (
	"errors"
	"os"
	"path"
)

// SharedUser returns a warning if the table at path makes smap and smapd one
// user, as old tables do. It is for a person who checks a table. Of a table with
// errors it says nothing.
func SharedUser(path string) []*Error {
	text, err := ReadTable(path)
	if err != nil {
		return nil
	}
	smap, smapd := both(text, path)
	if smap == nil || smapd == nil {
		return nil
	}
	a, _, err := smap.Identity()
	b, _, err2 := smapd.Identity()
	if err != nil || err2 != nil || a < 0 || a != b {
		return nil
	}
	return []*Error{smap.Errorf(UserID, "smap and smapd run as the same user: an attacker who takes over smap could read the mail in the spool, and only the sandbox prevents it; use two users")}
}

// UnknownRecipients returns a warning if smap accepts mail for users that do not
// exist and smapd does not report failures: then nobody learns that the server
// refused such mail. text is a table, file its name in the warning.
func UnknownRecipients(text []byte, file string) []*Error {
	smap, smapd := both(text, file)
	if smap == nil || smapd == nil || smap.Has(Recipients) || smapd.Bool(Bounce) ||
		path.Clean(smap.String(Directory)) != path.Clean(smapd.String(Directory)) {
		return nil
	}
	if words := smapd.Words(Agent); len(words) > 0 && words[0] == "maildir" {
		return nil // which takes mail for everybody
	}
	return []*Error{smapd.Errorf(Bounce, "off, and smap has no list of recipients: smap accepts mail for unknown users, smapd sets it aside, and the sender is not told; set recipients, see netperm-table(5)")}
}

// both reads a table for smap and for smapd. Each is nil if it has errors.
func both(text []byte, file string) (smap, smapd *Table) {
	smap, _ = Parse(text, file, Options{Program: "smap"})
	smapd, _ = Parse(text, file, Options{Program: "smapd"})
	return smap, smapd
}

// Replaceable returns a warning if another user could replace the spool, because a
// directory above it does not pass the rules of [CheckFile]. It is for a person
// who checks a table.
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
