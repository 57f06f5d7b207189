package netperm

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// DefaultPath is where the Toolkit keeps its table.
const DefaultPath = "/usr/local/etc/netperm-table"

// Load reads the table at path for a program, "smap" or "smapd". The table must
// pass [CheckFile]; no FIFO, device or directory in its place can make Load
// wait. When the caller is root, userid is required. The error is an [Errors]
// that holds all that is wrong; lines are reported with the base name of path.
func Load(path, program string) (*Table, error) {
	data, err := ReadTable(path)
	if err != nil {
		return nil, Errors{{File: filepath.Base(path), Reason: err.Error(), Err: err}}
	}
	return Parse(data, filepath.Base(path), Options{Program: program, Root: os.Geteuid() == 0})
}

// ReadTable reads the table at path for [Parse], after the checks of [Load], for
// a program that hands it on to another. One read more than
// the size tells finds out whether it grew; of what is larger than [MaxTable] it
// returns one octet more than that, which Parse refuses.
func ReadTable(path string) ([]byte, error) {
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

// Spoolless warns, as [Table.Warnings] does, where the directory of the spool is
// not there, which only a start needs. Who may not look is told nothing.
func (t *Table) Spoolless() []*Error {
	st, err := os.Stat(t.String("directory"))
	if err == nil && !st.IsDir() {
		err = unix.ENOTDIR
	}
	if err != nil && !errors.Is(err, fs.ErrPermission) {
		return []*Error{t.Errorf("directory", "%w; smapq init makes a spool", err)}
	}
	return nil
}

// CheckFiles checks every file and program that the table names for its program
// as [CheckFile] and [CheckProgram] do: who may change them, may do what they
// say. The error is an [Errors] with the lines of their clauses.
func (t *Table) CheckFiles() error {
	var errs Errors
	check := func(r *rule, err error) {
		if err == nil {
			return
		}
		clause := clauses[r.clause].Name
		e := errorf(t.file, r.line, clause, "%w", err)
		if errors.Is(err, unix.ENOENT) {
			e.Reason = "there is no file of this name: " + e.Reason
		}
		errs = append(errs, e)
	}
	for i := range t.rules {
		r := &t.rules[i]
		switch clauses[r.clause].Kind {
		case KindFile:
			check(r, CheckFile(r.words[0]))
		case KindProgram, KindCommand:
			check(r, CheckProgram(r.words[0]))
		case KindDomains:
			for _, w := range r.words {
				if filepath.IsAbs(w) {
					check(r, CheckFile(w))
				}
			}
		case KindAgent:
			if kind := r.words[0]; kind == "sendmail" || kind == "exec" {
				check(r, CheckProgram(r.words[1]))
			}
			if i := authFile(r.words); i > 0 {
				check(r, CheckFile(r.words[i]))
			}
		}
	}
	return errs.orNil()
}
