package spoolfmt

import (
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// fileMode lets the spool's group, smapd's, read what another user feeds, and
// no other feeder.
const fileMode = 0o640

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
	broken  uint64 // failures of syncs before it began: see committer
	buf     []byte
	size    int64
	crc     uint32
	last    byte  // the last octet written
	err     error // the first failed write: no commit after it
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
// the umask, which must not decide who may read mail.
func (s *Spool) create(name string) (int, error) {
	fd, err := s.sys.open(s.dirs[Tmp], name, unix.O_RDWR|unix.O_CREAT|unix.O_EXCL, fileMode)
	if err != nil {
		return -1, err
	}
	if err := again(func() error { return unix.Fchmod(fd, fileMode) }); err != nil {
		return -1, errors.Join(err, s.sys.close(fd), s.sys.unlink(s.dirs[Tmp], name))
	}
	return fd, nil
}

// ID returns the id that the message will have. Commit takes another one when
// this one is taken, which happens only if somebody guesses it.
func (d *Draft) ID() string { return d.id }

// Size returns the octets written so far.
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

// Commit gives the message its envelope, whose Size and CRC32C it sets, and makes it
// visible to drainers. When it returns nil the message is in new/ and durable.
// Otherwise the error is a *[CommitError]: unless that says Visible, no part of
// the message can be delivered, and Abort removes what is left of it.
func (d *Draft) Commit(e *envelope.Envelope) error {
	if d.content < 0 {
		return &CommitError{Step: "begin", Err: fs.ErrClosed}
	}
	if err := d.seal(e); err != nil {
		return errors.Join(err, d.Abort())
	}
	err := d.s.commits.commit(d)
	var failed *CommitError
	if errors.As(err, &failed) && !failed.Visible {
		return errors.Join(err, d.Abort())
	}
	return err
}

// seal writes the rest of the content, and the envelope.
func (d *Draft) seal(e *envelope.Envelope) error {
	if d.flush(); d.err != nil {
		return &CommitError{Step: "write content", Err: d.err}
	}
	e.SetSize(d.size)
	e.SetChecksum(d.crc)
	data, err := e.Marshal()
	if err != nil {
		return &CommitError{Step: "envelope", Err: err}
	}
	name := d.id + KindEnvelope.Suffix()
	fd, err := d.s.create(name)
	if err != nil {
		return &CommitError{Step: "create envelope", Err: err}
	}
	d.env, d.envFD = name, fd
	if err := d.s.writeAll(fd, data); err != nil {
		return &CommitError{Step: "write envelope", Err: err}
	}
	return nil
}

// fsync makes both files durable under their names in tmp.
func (d *Draft) fsync() error {
	sys := &d.s.sys
	// What the first sync then finds on its way costs the second one little.
	sys.startWriting(d.content)
	if err := sys.fsync(d.envFD); err != nil {
		return &CommitError{Step: "fsync envelope", Err: err}
	}
	if err := sys.fsync(d.content); err != nil {
		return &CommitError{Step: "fsync content", Err: err}
	}
	return d.synced(nil)
}

// synced ends the sync of both files, which a sync for many may have been.
func (d *Draft) synced(err error) error {
	if err == nil && d.broken != d.s.commits.broken.Load() {
		err = errBroken
	}
	if err != nil {
		return &CommitError{Step: "sync of the file system", Err: err}
	}
	fd := d.envFD
	d.envFD = -1
	if err := d.s.sys.close(fd); err != nil {
		return &CommitError{Step: "close envelope", Err: err}
	}
	return nil
}

var errBroken = errors.New("a sync failed while this message was written")

// fillAndClose writes a new file durably, and names the step that failed.
func (s *Spool) fillAndClose(fd int, data []byte) (step string, err error) {
	step = "write"
	if err = s.writeAll(fd, data); err == nil {
		step = "fsync"
		err = s.sys.fsync(fd)
	}
	if cerr := s.sys.close(fd); err == nil && cerr != nil {
		step, err = "close", cerr
	}
	return step, err
}

// maxIDs is how many ids a commit tries. The second one is needed only when
// somebody guessed 80 random bits, so the last one never is by accident.
const maxIDs = 8

// publish moves both files to new, the envelope last: SPOOL-FORMAT.md, Feed.
// When it returns nil, new has to be synced; then letGo is due, if it was not
// here.
func (d *Draft) publish() error {
	// A file system without locks is one without drainers that need them.
	_ = lock(d.content)
	var err error
	for range maxIDs {
		if err = d.move(); !errors.Is(err, fs.ErrExist) || errors.Is(err, errStays) {
			break
		}
		d.id = envelope.NewID(d.s.now())
	}
	if err != nil || d.s.lockTillSync {
		return err
	}
	return d.letGo()
}

// letGo gives up the lock on a message that is in new.
func (d *Draft) letGo() error {
	fd := d.content
	d.content, d.buf = -1, nil
	uerr := unlock(fd)
	if err := errors.Join(d.s.sys.close(fd), ignoreNoLocks(uerr)); err != nil {
		return &CommitError{Step: "close content", Visible: true, Err: err}
	}
	return nil
}

func ignoreNoLocks(err error) error {
	if err == unix.ENOLCK || err == unix.EOPNOTSUPP || err == unix.EBADF {
		return nil
	}
	return err
}

// move does one attempt under the draft's present id. Its error wraps
// fs.ErrExist when that id is taken; whatever it is, unless Visible nothing of
// this draft is left in new.
func (d *Draft) move() error {
	sys, tmp, dir := &d.s.sys, d.s.dirs[Tmp], d.s.dirs[New]
	eml, env := d.id+KindContent.Suffix(), d.id+KindEnvelope.Suffix()
	// An envelope without content may wait there: ours must not become its
	// content, not even for a moment.
	taken, err := exists(dir, env)
	if err != nil {
		return &CommitError{Step: "look into new/", Err: err}
	}
	if taken {
		return &CommitError{Step: "choose an id", Err: fs.ErrExist}
	}
	if err := sys.move(tmp, d.name, dir, eml); err != nil {
		return &CommitError{Step: "move content", Err: errors.Join(err, d.takeBack(eml))}
	}
	if err := sys.move(tmp, d.env, dir, env); err != nil {
		if d.stands(dir, env) {
			d.name, d.env = "", ""
			return &CommitError{Step: "move envelope", Visible: true, Err: err}
		}
		return &CommitError{Step: "move envelope", Err: errors.Join(err, d.takeBack(eml))}
	}
	d.name, d.env = "", ""
	return nil
}

// stands tells whether a move that failed was done all the same, as a network
// file system may say of a request that it repeated: the name in tmp is gone
// and the new one is there.
func (d *Draft) stands(dir int, env string) bool {
	left, err := exists(d.s.dirs[Tmp], d.env)
	if err != nil || left {
		return false
	}
	there, err := exists(dir, env)
	return err == nil && there
}

// takeBack moves the content from new to tmp again, if it is ours that stands
// there.
func (d *Draft) takeBack(eml string) error {
	there, err := lstat(d.s.dirs[New], eml)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	ours, err := fstat(d.content)
	if err != nil || !sameFile(&there, &ours) {
		return err
	}
	left, err := exists(d.s.dirs[Tmp], d.name)
	switch {
	case err != nil:
	case left: // linked but not yet moved: only the new name has to go
		err = d.s.sys.unlink(d.s.dirs[New], eml)
	default:
		err = d.s.sys.move(d.s.dirs[New], eml, d.s.dirs[Tmp], d.name)
	}
	if err == nil {
		return nil
	}
	// A sandbox may let nothing out of new again. Then it must be nobody's
	// content: a stranger's envelope may wait for it, whose Size is another.
	return errors.Join(errStays, err, again(func() error { return unix.Ftruncate(d.content, 0) }), d.s.sys.fsync(d.content))
}

// errStays ends a commit that would otherwise try another id.
var errStays = errors.New("the content, now empty, stays in new/")

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
