package netperm

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"golang.org/x/sys/unix"
)

// maxLinks is how many symbolic links one path may lead through.
const maxLinks = 40

// CheckFile reports why the file at path cannot be trusted, nil if it can: it is
// a regular file; it, every symbolic link and every directory on the way to it,
// "/" included, belongs to root or to the effective user; and neither the file
// nor any of these directories can be written by group or others. A sticky
// directory (/tmp) may be: nobody can replace what belongs to us there. So
// nobody but root and the caller can change what the path leads to, now or
// later. The mode may be as tight as 600. Nothing is opened, so a FIFO or a
// device does no harm.
func CheckFile(path string) error {
	_, _, err := trusted(path)
	return sayMissing(err)
}

// checkDirectory is [CheckFile] for a directory.
func checkDirectory(path string) error {
	_, _, err := resolve(path, unix.S_IFDIR)
	return err
}

// CheckProgram is [CheckFile], and the file must be executable.
func CheckProgram(path string) error {
	_, st, err := trusted(path)
	if err == nil && uint32(st.Mode)&0o111 == 0 {
		err = distrust(path, "is not executable")
	}
	return sayMissing(err)
}

// missingError says that a file does not exist, or a directory on the way to it.
type missingError struct{ *fs.PathError }

func (e missingError) Error() string { return printablePath(e.Path) + " does not exist" }
func (e missingError) Unwrap() error { return e.PathError }

func sayMissing(err error) error {
	var missing *fs.PathError
	if errors.Is(err, unix.ENOENT) && errors.As(err, &missing) {
		return missingError{missing}
	}
	return err
}

// OpenFile opens a file for reading that passes [CheckFile].
func OpenFile(path string) (*os.File, error) {
	fd, _, err := openTrusted(path)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), path), nil
}

// maxFile is how many octets of a file [ReadFile] takes: keys and passwords are
// short.
const maxFile = 1 << 20

// ReadFile reads a file that passes [CheckFile]. A longer one than [maxFile] is
// an error.
func ReadFile(path string) ([]byte, error) {
	f, err := OpenFile(path)
	if err != nil {
		return nil, err
	}
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err = errors.Join(err, f.Close()); err == nil && len(data) > maxFile {
		err = &os.PathError{Op: "read", Path: path, Err: unix.EFBIG}
	}
	return data, err
}

// openTrusted opens without following a link and without waiting, and makes sure
// that what it opened is what was checked.
func openTrusted(path string) (fd int, size int64, err error) {
	real, st, err := trusted(path)
	if err != nil {
		return -1, 0, err
	}
	err = retry(func() error {
		fd, err = unix.Open(real, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
		return err
	})
	if err != nil {
		return -1, 0, &os.PathError{Op: "open", Path: path, Err: err}
	}
	var now unix.Stat_t
	if err := unix.Fstat(fd, &now); err != nil || now.Dev != st.Dev || now.Ino != st.Ino {
		_ = unix.Close(fd) // only read
		return -1, 0, distrust(path, "was replaced while it was opened")
	}
	return fd, now.Size, nil
}

// trusted finds a regular file.
func trusted(file string) (real string, st unix.Stat_t, err error) {
	return resolve(file, unix.S_IFREG)
}

// resolve resolves path step by step to a file or a directory, and checks each
// step. Every directory is checked before anything in it is looked up, so what
// was found stays true.
func resolve(file string, kind uint32) (real string, st unix.Stat_t, err error) {
	if strings.IndexByte(file, 0) >= 0 || file == "" {
		return "", st, distrust(file, "is not a path")
	}
	abs := file
	if !path.IsAbs(abs) {
		wd, err := os.Getwd()
		if err != nil {
			return "", st, err
		}
		abs = wd + "/" + file // not cleaned: link/.. is not what it looks like
	}
	uid := uint32(os.Geteuid())
	dir, rest, links := "/", strings.TrimPrefix(abs, "/"), 0
	if err := statTrusted(dir, uid, &st); err != nil {
		return "", st, err
	}
	for {
		var name string
		name, rest, _ = strings.Cut(strings.TrimLeft(rest, "/"), "/")
		if name == "" && kind == unix.S_IFDIR {
			return dir, st, nil
		}
		if name == "" {
			return "", st, distrust(file, "is not a regular file")
		}
		next := path.Join(dir, name) // name may be ".." from a link: dir holds no links
		if err := statTrusted(next, uid, &st); err != nil {
			return "", st, err
		}
		switch uint32(st.Mode) & unix.S_IFMT {
		case unix.S_IFLNK:
			target, err := os.Readlink(next)
			if err != nil {
				return "", st, err
			}
			links++
			if links > maxLinks {
				return "", st, distrust(file, "leads through too many symbolic links")
			}
			if path.IsAbs(target) {
				dir = "/"
			}
			rest = target + "/" + rest
		case unix.S_IFDIR:
			dir = next
		case unix.S_IFREG:
			if strings.Trim(rest, "/") != "" || kind == unix.S_IFDIR {
				return "", st, &os.PathError{Op: "open", Path: file, Err: unix.ENOTDIR}
			}
			return next, st, nil
		default:
			return "", st, distrust(next, "is not a regular file")
		}
	}
}

// statTrusted looks at one step of a path and checks its owner and mode.
func statTrusted(name string, uid uint32, st *unix.Stat_t) error {
	if err := retry(func() error { return unix.Lstat(name, st) }); err != nil {
		return &os.PathError{Op: "stat", Path: name, Err: err}
	}
	mode := uint32(st.Mode)
	kind := mode & unix.S_IFMT
	switch {
	case st.Uid != 0 && st.Uid != uid:
		who := "root"
		if uid != 0 {
			who = "root or the user who runs this"
		}
		return distrust(name, "does not belong to "+who)
	case kind == unix.S_IFLNK || mode&0o022 == 0 || kind == unix.S_IFDIR && mode&unix.S_ISVTX != 0:
		return nil
	case mode&0o002 != 0:
		return distrust(name, "can be written by others (chmod o-w)")
	}
	return distrust(name, "can be written by its group (chmod g-w)")
}

// ErrUntrusted is what errors about owners, modes and kinds of files wrap.
var ErrUntrusted = errors.New("not trusted")

// distrustError says why a file is not trusted.
type distrustError struct{ name, reason string }

func distrust(name, reason string) error { return &distrustError{name, reason} }

func (e *distrustError) Error() string { return printablePath(e.name) + " " + e.reason }
func (e *distrustError) Unwrap() error { return ErrUntrusted }

// printablePath quotes a path that could forge a line of a log.
func printablePath(name string) string {
	if textFault(name) != "" {
		return quoted(name)
	}
	return name
}

// retry calls f again as long as a signal interrupts it.
func retry(f func() error) error {
	for {
		if err := f(); err != unix.EINTR {
			return err
		}
	}
}
