package spoolfmt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// OpenViewer opens a spool to look at it. It makes nothing: it leaves out a box
// that is missing, or closed to this process, and Missing returns why. What it
// sees may change at any moment. Only a claim gives a message to its caller.
func OpenViewer(dir string, o Options) (*Spool, error) {
	s := newSpool(o)
	top, err := openTop(dir)
	if err != nil {
		return nil, fmt.Errorf("spool %s: %w", dir, err)
	}
	defer unix.Close(top) // only read
	s.missing = new([boxes]error)
	for b := Tmp; b <= Bad; b++ {
		s.paths[b] = filepath.Join(dir, b.String())
		if b == Bad && o.BadDir != "" {
			s.paths[b] = o.BadDir
			s.dirs[b], s.missing[b] = openTop(o.BadDir)
		} else {
			s.dirs[b], s.missing[b] = viewBox(top, b)
		}
	}
	return s, nil
}

// viewBox opens a box below the top directory, never through a link.
func viewBox(top int, b Box) (int, error) {
	const flags = unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOFOLLOW
	var fd int
	err := again(func() (err error) { fd, err = unix.Openat(top, b.String(), flags|unix.O_RDONLY, 0); return err })
	if err != nil {
		return -1, &fs.PathError{Op: "open", Path: b.String(), Err: err}
	}
	return fd, nil
}

// Missing returns why a box is not open, and nil when it is.
func (s *Spool) Missing(b Box) error {
	switch {
	case s.dirs[b] >= 0:
		return nil
	case s.missing != nil && s.missing[b] != nil:
		return s.missing[b]
	}
	return &fs.PathError{Op: "open", Path: b.String(), Err: fs.ErrClosed}
}

// Open opens a file in a box for reading: a regular one, never through a link.
// The error is a *[MalformedError] where the name is something else, and
// fs.ErrNotExist where there is none.
func (s *Spool) Open(b Box, name string) (*os.File, error) {
	fd, _, err := s.view(b, name)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), b.String()+"/"+name), nil
}

// view is openRegular for a file that is only read: a descriptor that cannot write,
// for as few calls as possible.
func (s *Spool) view(b Box, name string) (int, unix.Stat_t, error) {
	path := b.String() + "/" + name
	fd, err := s.sys.open(s.dirs[b], name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	var st unix.Stat_t
	switch err {
	case nil:
	case unix.ELOOP, unix.EMLINK, unix.ENXIO:
		return -1, st, &MalformedError{File: path, Err: &oddFileError{"not a regular file"}}
	default:
		return -1, st, &fs.PathError{Op: "open", Path: path, Err: err}
	}
	st, err = fstat(fd)
	if err == nil && !isRegular(&st) {
		err = &MalformedError{File: path, Err: &oddFileError{"not a regular file"}}
	}
	if err != nil {
		return -1, st, errors.Join(err, s.sys.close(fd))
	}
	return fd, st, nil
}

// ReadFile returns the first octets of a file in a box, at most limit, in buf
// where they fit. Errors are those of Open.
func (s *Spool) ReadFile(b Box, name string, limit int, buf []byte) ([]byte, error) {
	fd, st, err := s.view(b, name)
	if err != nil {
		return nil, err
	}
	data, err := readUpTo(fd, st.Size, limit, buf)
	if err = errors.Join(err, s.sys.close(fd)); err != nil {
		return nil, &fs.PathError{Op: "read", Path: b.String() + "/" + name, Err: err}
	}
	return data, nil
}

// readUpTo reads an open file to its end, which should come after size octets, but
// not beyond limit, into buf if it has room.
func readUpTo(fd int, size int64, limit int, buf []byte) ([]byte, error) {
	buf = buf[:0]
	for len(buf) < limit {
		if len(buf) == cap(buf) {
			buf = slices.Grow(buf, max(int(min(size, int64(limit)))+1-len(buf), 512))
		}
		room := buf[len(buf):min(cap(buf), limit)]
		var n int
		err := again(func() (err error) { n, err = unix.Read(fd, room); return err })
		if err != nil {
			return nil, err
		}
		buf = buf[:len(buf)+n]
		if n == 0 || n < len(room) && int64(len(buf)) == size {
			break
		}
	}
	return buf, nil
}

// ReadEnvelope reads the envelope of a message in a box, as it is now. The
// error is a *[MalformedError] where it is no valid one. buf as in ReadFile.
func (s *Spool) ReadEnvelope(b Box, id string, buf []byte) (*envelope.Envelope, error) {
	name := id + KindEnvelope.Suffix()
	data, err := s.ReadFile(b, name, envelope.MaxSize+1, buf)
	if err != nil {
		return nil, err
	}
	e, err := envelope.Parse(data)
	if err != nil {
		return nil, &MalformedError{File: b.String() + "/" + name, Err: err}
	}
	return e, nil
}

// Locked tells whether a process holds the lock of a file in a box. To find out
// it takes a shared lock for a moment, which a drainer may meet as [ErrBusy].
func (s *Spool) Locked(b Box, name string) (bool, error) {
	fd, _, err := s.view(b, name)
	if err != nil {
		return false, err
	}
	err = again(func() error { return unix.Flock(fd, unix.LOCK_SH|unix.LOCK_NB) })
	cerr := s.sys.close(fd) // gives the lock back
	if err == unix.EWOULDBLOCK {
		return true, cerr
	}
	return false, errors.Join(ignoreNoLocks(err), cerr)
}
