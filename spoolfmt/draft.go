package spoolfmt

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// draftBuffer gathers what a session writes, so that a message that fits into it
// is written at once. Of longer ones, large pieces go straight to the file.
const draftBuffer = 4 << 10

// A Draft is a message that is being fed: its content file is open in tmp.
// It is used by one goroutine.
type Draft struct {
	s       *Spool
	id      string
	content int    // -1 once closed
	envFD   int    // likewise
	name    string // of the content in tmp, "" once it is not there
	env     string // of the envelope in tmp, likewise
	crc     uint32 // CRC32C of what was written
	broken  uint64 // failures of syncs before it began: see committer
	buf     []byte
	size    int64
	// unlocked: the content was moved to new without a lock.
	unlocked bool
	last     byte  // the last octet written
	err      error // the first failed write: no commit after it
}

// NewDraft begins a message with an empty content file in tmp.
func (s *Spool) NewDraft() (*Draft, error) { return s.newDraft(envelope.NewID(s.now())) }

func (s *Spool) newDraft(id string) (*Draft, error) {
	d := &Draft{s: s, id: id, content: -1, envFD: -1, broken: s.commits.broken.Load()}
	name := id + KindContent.Suffix()
	fd, err := s.create(name)
	if err != nil {
		return nil, fmt.Errorf("tmp/%s: %w", name, err)
	}
	d.content, d.name = fd, name
	return d, nil
}

// create makes a file in tmp that did not exist. Its mode does not depend on
// the umask, which must not decide which users can read mail.
func (s *Spool) create(name string) (int, error) {
	mode := unix.O_RDWR
	if s.dirs[Cur] < 0 { // a feeder reads nothing, and its sandbox lets it read nothing
		mode = unix.O_WRONLY
	}
	fd, err := s.sys.open(s.dirs[Tmp], name, mode|unix.O_CREAT|unix.O_EXCL, s.fileMode)
	if err != nil {
		return -1, err
	}
	if err := again(func() error { return unix.Fchmod(fd, s.fileMode) }); err != nil {
		return -1, errors.Join(err, s.sys.close(fd), s.sys.unlink(s.dirs[Tmp], name))
	}
	return fd, nil
}

// ID returns the id that the message will have. Commit takes another one when
// this one is taken, which happens only if somebody guesses it.
func (d *Draft) ID() string { return d.id }

// Size returns the octets written until now.
func (d *Draft) Size() int64 { return d.size }

// Write appends to the content, which is stored as given: lines must end in
// LF, and there must be no CR and no NUL. After a failed write the draft can
// only be aborted.
func (d *Draft) Write(p []byte) (int, error) {
	if d.err != nil {
		return 0, d.err
	}
	if d.content < 0 {
		return 0, fs.ErrClosed
	}
	if len(d.buf)+len(p) > draftBuffer {
		d.flush()
	}
	if d.err == nil && len(d.buf) == 0 && len(p) > draftBuffer/2 {
		d.err = d.s.writeAll(d.content, p)
	} else if d.err == nil {
		d.buf = append(d.buf, p...)
	}
	if d.err != nil {
		return 0, d.err
	}
	if len(p) > 0 {
		d.last = p[len(p)-1]
	}
	d.size += int64(len(p))
	d.crc = crc32.Update(d.crc, envelope.ChecksumTable(), p)
	return len(p), nil
}

func (d *Draft) flush() {
	if len(d.buf) == 0 || d.err != nil {
		return
	}
	d.err = d.s.writeAll(d.content, d.buf)
	d.buf = d.buf[:0]
}

// Abort removes what the draft left in tmp. After a Commit that succeeded, or
// that is visible, it does nothing.
func (d *Draft) Abort() error {
	var errs []error
	for _, fd := range []*int{&d.content, &d.envFD} {
		if *fd >= 0 {
			errs = append(errs, d.s.sys.close(*fd))
			*fd = -1
		}
	}
	d.buf = nil
	for _, name := range []*string{&d.env, &d.name} {
		if *name == "" {
			continue
		}
		err := d.s.sys.unlink(d.s.dirs[Tmp], *name)
		if !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, err)
		}
		*name = ""
	}
	return errors.Join(errs...)
}
