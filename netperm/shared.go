package netperm

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
			line = t.Errorf("userid", "smap and smapd are one user: if smap is broken into, only its sandbox keeps it from the mail in the spool; two users are better")
		}
	}
	if uids[0] != uids[1] {
		return nil
	}
	return []*Error{line}
}
