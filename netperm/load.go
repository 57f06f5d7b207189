package netperm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// defaultPath is set by the linker, once for all programs of a package.
var defaultPath = "/usr/local/etc/netperm-table"

// DefaultPath is where the programs look for the table: where the Toolkit keeps
// it, unless a package was built with another path.
func DefaultPath() string { return defaultPath }

// Load reads the table at path for a program, "smap" or "smapd". The table must
// pass [CheckFile]; a FIFO or a device in its place cannot make Load wait. When
// the caller is root, userid is required. The error is an [Errors] that holds
// everything that is wrong.
func Load(path, program string) (*Table, error) {
	data, err := ReadTable(path)
	if err != nil {
		return nil, err
	}
	return Parse(data, path, Options{Program: program, Root: os.Geteuid() == 0})
}

// ReadTable reads the table at path after the checks of [Load], for a program
// that hands the text on to another, which calls [Parse]. A table of more than
// [MaxTable] octets is cut one octet later, and Parse refuses it. The error is
// an [Errors].
func ReadTable(path string) ([]byte, error) {
	data, err := readTable(path)
	if err != nil {
		var cause *fs.PathError
		var distrusted *distrustError
		reason := err.Error()
		switch { // the path is in front of it
		case errors.Is(err, fs.ErrNotExist):
			reason = "no such file or directory; -c names another file, and netperm-table(5) says what is in one"
		case errors.As(err, &cause) && cause.Path == path:
			reason = cause.Err.Error()
		case errors.As(err, &distrusted) && distrusted.name == path:
			reason = distrusted.reason
		}
		return nil, Errors{{File: printablePath(path), Reason: reason, Err: err}}
	}
	return data, nil
}

// readTable reads until the end, in case the table grows meanwhile.
func readTable(path string) ([]byte, error) {
	fd, size, err := openTrusted(path)
	if err != nil {
		return nil, err
	}
	defer unix.Close(fd) // only read
	buf := make([]byte, 0, min(size, MaxTable)+1)
	for {
		var n int
		err := retry(func() error {
			var err error
			n, err = unix.Read(fd, buf[len(buf):cap(buf)])
			return err
		})
		if err != nil {
			return nil, &os.PathError{Op: "read", Path: path, Err: err}
		}
		buf = buf[:len(buf)+max(n, 0)]
		switch {
		case n <= 0 || len(buf) > MaxTable:
			return buf, nil
		case len(buf) == cap(buf):
			bigger := make([]byte, len(buf), min(2*cap(buf), MaxTable+1))
			copy(bigger, buf)
			buf = bigger
		}
	}
}

// Spoolless returns a warning if the directory of the spool does not exist, which
// only a start needs. It says nothing to a user without permission to look.
func (t *Table) Spoolless() []*Error {
	st, err := os.Stat(t.String(Directory))
	if err == nil && !st.IsDir() {
		err = unix.ENOTDIR
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return []*Error{t.Errorf(Directory, "%w; smapq init makes a spool", err)}
	}
	return nil
}

// CheckFiles checks every file and program that the table names for its program,
// as [CheckFile] does, because a user who can change such a file controls the
// program. It leaves out the files that an agent's words name; the program checks
// those. The error is an [Errors] with the lines of their clauses.
func (t *Table) CheckFiles() error {
	var errs Errors
	check := func(r *rule, err error) {
		if err == nil {
			return
		}
		errs = append(errs, errorf(t.file, r.line, clauses[r.clause].name, "%w", err))
	}
	for i := range t.rules {
		r := &t.rules[i]
		switch clauses[r.clause].kind {
		case kindFile:
			check(r, CheckFile(r.words[0]))
		case kindProgram, kindCommand:
			check(r, CheckProgram(r.words[0]))
		case kindDomains:
			for _, w := range r.words {
				if filepath.IsAbs(w) {
					check(r, CheckFile(w))
				}
			}
		}
	}
	return errs.orNil()
}
