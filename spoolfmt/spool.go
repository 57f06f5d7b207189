package spoolfmt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// A Box is one of the four directories of a spool.
type Box int

// The boxes. Tmp: being written, no drainer looks there. New: committed,
// waiting. Cur: claimed, in delivery or deferred. Bad: set aside for a person.
const (
	Tmp Box = iota
	New
	Cur
	Bad
	boxes = iota
)

// String returns the directory's name, such as "new".
func (b Box) String() string { return [boxes]string{"tmp", "new", "cur", "bad"}[b] }

// LookAgain is how long an anomaly that may be another process's step
// (an envelope alone, a content with two links) has to last before it counts.
const LookAgain = time.Minute

// Options are what opening a spool may be given; the zero value is usable.
type Options struct {
	// Log gets what recovery finds. Nil discards.
	Log *slog.Logger
	// BadDir is another directory for messages set aside, on the spool's
	// file system. Drainers only; empty is the spool's own bad.
	BadDir string
	// Host is the name in the Message-ID field that a drop without one gets.
	// Empty is the system's.
	Host string
}

// A Spool is an open spool. Its methods may be called from any number of
// goroutines.
type Spool struct {
	log   *slog.Logger
	host  string
	sys   syscalls
	now   func() time.Time
	paths [boxes]string
	dirs  [boxes]int // -1 where this process does not use the box

	fileMode uint32 // of the files that are made here

	missing *[boxes]error // of a viewer: why a box is not open

	commits  committer
	odd      sightings    // anomalies that may pass
	drops    pace         // looks for the other names of drops
	finished finished     // delivered, to be made durable by Flush
	rooms    rooms        // reserved files nobody used
	memory   atomic.Int64 // octets of copies that are in memory
}

// OpenFeeder opens a spool to feed it: tmp and new only, which are made when
// they are missing. The process needs no right to read either of them, unless
// the spool is its own.
func OpenFeeder(dir string, o Options) (*Spool, error) {
	return open(dir, o, Tmp, New)
}

// OpenDrainer opens a spool to drain it; it may feed it too. Boxes that are
// missing are made. The process must own the spool.
func OpenDrainer(dir string, o Options) (*Spool, error) {
	return open(dir, o, Tmp, New, Cur, Bad)
}

func newSpool(o Options) *Spool {
	s := &Spool{log: o.Log, host: o.Host, sys: systemCalls(), now: time.Now, dirs: [boxes]int{-1, -1, -1, -1}}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

func open(dir string, o Options, use ...Box) (*Spool, error) {
	s := newSpool(o)
	top, err := openTop(dir)
	if err != nil {
		return nil, fmt.Errorf("spool %s: %w", dir, err)
	}
	defer unix.Close(top) // only read
	made := false
	for _, b := range use {
		s.paths[b] = filepath.Join(dir, b.String())
		if b == Bad && o.BadDir != "" {
			s.paths[b] = o.BadDir
			s.dirs[b], err = openTop(o.BadDir)
		} else {
			var m bool
			s.dirs[b], m, err = openBox(top, b)
			made = made || m
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("spool %s: %s: %w", dir, b, err), s.Close())
		}
	}
	if made {
		// Not fatal: a process that may not read the top directory cannot sync
		// it, and should not be the one that makes boxes in it.
		if err := s.sys.fsync(top); err != nil {
			s.log.Warn(eventBoxesNotSynced, "dir", dir, "error", err)
		}
	}
	if err := s.oneFileSystem(use); err != nil {
		return nil, errors.Join(fmt.Errorf("spool %s: %w", dir, err), s.Close())
	}
	return s, nil
}

// openTop opens a directory that the administrator names: links in its path
// are theirs.
func openTop(dir string) (fd int, err error) {
	const flags = unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NONBLOCK
	err = again(func() error { fd, err = unix.Open(dir, flags|unix.O_RDONLY, 0); return err })
	if err == unix.EACCES {
		err = again(func() error { fd, err = unix.Open(dir, flags|searchOnly, 0); return err })
	}
	if err != nil {
		return -1, err
	}
	return fd, nil
}

// openBox opens a box below the top directory, never through a link. A box that is
// missing is made, with the mode that the spool needs: private or shared.
func openBox(top int, b Box) (fd int, made bool, err error) {
	const flags = unix.O_DIRECTORY | unix.O_CLOEXEC | unix.O_NONBLOCK | unix.O_NOFOLLOW
	try := func(how int) error {
		return again(func() error { fd, err = unix.Openat(top, b.String(), flags|how, 0); return err })
	}
	err = try(unix.O_RDONLY)
	if err == unix.ENOENT {
		err = again(func() error { return unix.Mkdirat(top, b.String(), 0o700) })
		if made = err == nil; made || err == unix.EEXIST {
			err = try(unix.O_RDONLY)
		}
		if made && err == nil {
			err = setBoxMode(top, fd, b)
		}
	}
	if err == unix.EACCES && b == Tmp {
		err = try(searchOnly)
	}
	if err != nil {
		return -1, made, err
	}
	return fd, made, nil
}

func setBoxMode(top, fd int, b Box) error {
	st, err := fstat(top)
	if err != nil {
		return err
	}
	shared := uint32(st.Mode)&modeBits == SharedMode
	return again(func() error { return unix.Fchmod(fd, BoxMode(b, shared)) })
}

// oneFileSystem demands that all boxes are on one, tmp first, and takes from
// tmp which mode files are to have.
func (s *Spool) oneFileSystem(use []Box) error {
	first, err := fstat(s.dirs[use[0]])
	if err != nil {
		return err
	}
	s.fileMode = fileMode(&first)
	for _, b := range use[1:] {
		st, err := fstat(s.dirs[b])
		if err != nil {
			return err
		}
		if st.Dev != first.Dev {
			return fmt.Errorf("%s and %s are on different file systems; a spool needs all on one", s.paths[use[0]], s.paths[b])
		}
	}
	return nil
}

// Close flushes what is finished and closes the spool's descriptors. Claims
// and drafts must have ended.
func (s *Spool) Close() error {
	var errs []error
	if s.dirs[Cur] >= 0 {
		errs = append(errs, s.flushAll())
		s.rooms.drop(s)
	}
	for b, fd := range s.dirs {
		if fd >= 0 {
			errs = append(errs, unix.Close(fd))
			s.dirs[b] = -1
		}
	}
	return errors.Join(errs...)
}

// Path returns the path of a box, as it was opened.
func (s *Spool) Path(b Box) string { return s.paths[b] }

// Fd returns the descriptor of a box's directory, for a sandbox to be built
// around, or -1 where this process does not use the box. It stays the spool's.
func (s *Spool) Fd(b Box) int { return s.dirs[b] }

// Free returns the octets and inodes that an unprivileged process can still
// use on the spool's file system; inodes is math.MaxUint64 where it has no
// fixed number of them.
func (s *Spool) Free() (bytes, inodes uint64, err error) {
	return free(s.dirs[New])
}

// noLimit is the number of free inodes where a file system makes them as it
// needs them, and reports none.
func noLimit(files, left uint64) uint64 {
	if files == 0 {
		return math.MaxUint64
	}
	return left
}

// Moved tells whether a path of the spool no longer names the directory that
// is open: it was removed, replaced, or something was mounted on it. The spool
// should then be opened again.
func (s *Spool) Moved() bool {
	for b, fd := range s.dirs {
		if fd < 0 {
			continue
		}
		var named unix.Stat_t
		err := again(func() error { return unix.Stat(s.paths[b], &named) })
		if errors.Is(err, fs.ErrNotExist) {
			return true
		}
		opened, oerr := s.sys.fstat(fd)
		if errors.Is(oerr, unix.ENOTCONN) || errors.Is(oerr, unix.ESTALE) {
			return true // a network file system, or FUSE, went away
		}
		if err == nil && oerr == nil && !sameFile(&named, &opened) {
			return true
		}
	}
	return false
}

// sightings remembers when an inode was first seen in a state that should
// pass, so that a short step of another process is not taken for damage.
type sightings struct {
	mu    sync.Mutex
	first map[sighting]time.Time
}

type sighting struct {
	state error
	id    string
	inode uint64
}

// maxSightings bounds the memory that a hostile feeder can make us use. What does
// not fit begins its minute later: the others end theirs, or are forgotten when
// nobody has looked again.
const (
	maxSightings = 4096
	forgetAfter  = time.Hour
)

// lasted tells whether the state was seen before, at least LookAgain ago.
func (s *sightings) lasted(now time.Time, what sighting) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, known := s.first[what]
	if known {
		return now.Sub(first) >= LookAgain
	}
	if s.first == nil {
		s.first = make(map[sighting]time.Time)
	}
	if len(s.first) >= maxSightings {
		maps.DeleteFunc(s.first, func(_ sighting, seen time.Time) bool { return now.Sub(seen) >= forgetAfter })
	}
	if len(s.first) < maxSightings {
		s.first[what] = now
	}
	return false
}

func (s *sightings) forget(what sighting) {
	s.mu.Lock()
	delete(s.first, what)
	s.mu.Unlock()
}

// writeAll writes the whole of p. A write of nothing without an error is one.
func (s *Spool) writeAll(fd int, p []byte) error {
	for len(p) > 0 {
		n, err := s.sys.write(fd, p)
		if err != nil {
			return err
		}
		if n == 0 {
			return io.ErrShortWrite
		}
		p = p[n:]
	}
	return nil
}
