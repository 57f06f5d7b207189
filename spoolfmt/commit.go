package spoolfmt

import (
	"errors"
	"io/fs"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// Commit gives the message its envelope, whose Size and CRC32C it sets, and
// feeds it: SPOOL-FORMAT.md, Feeding. When it returns nil the message is in new/
// and durable. Otherwise the error is a *[CommitError]: unless that says
// Visible, no drainer that locks delivers any part of the message, and Abort
// removes what is left of it in tmp.
func (d *Draft) Commit(e *envelope.Envelope) error {
	if d.content < 0 {
		return &CommitError{Step: "begin", Err: fs.ErrClosed}
	}
	err := d.seal(e)
	if err == nil {
		err = d.publish()
	}
	if err != nil {
		return errors.Join(err, d.Abort())
	}
	return d.makeDurable()
}

// makeDurable syncs a message that is visible. The lock keeps it from drainers
// until then.
func (d *Draft) makeDurable() (err error) {
	err = &CommitError{Step: "sync", Err: errAbandoned} // should the sync panic
	defer func() { err = d.letGo(err) }()
	err = d.s.commits.sync(d)
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

// maxIDs is how many ids a commit tries. The second one is needed only when
// somebody guessed 80 random bits, so the last one never is by accident.
const maxIDs = 8

// publish locks the content and moves both files to new, the envelope last.
func (d *Draft) publish() error {
	err := d.s.sys.lock(d.content)
	if d.unlocked = err != nil; d.unlocked {
		// A drainer may take it as soon as it is in new.
		if err := d.fsync(); err != nil {
			return err
		}
	}
	for range maxIDs {
		if err = d.move(); !errors.Is(err, fs.ErrExist) || errors.Is(err, errStays) {
			break
		}
		d.id = envelope.NewID(d.s.now())
	}
	return err
}

// move does one attempt under the draft's present id. Its error wraps
// fs.ErrExist when that id is taken; then nothing of this draft is left in new.
func (d *Draft) move() error {
	sys, tmp, dir := &d.s.sys, d.s.dirs[Tmp], d.s.dirs[New]
	eml, env := d.id+KindContent.Suffix(), d.id+KindEnvelope.Suffix()
	// An envelope without content may wait there: ours must not become its
	// content, not even for a moment.
	taken, err := d.s.exists(New, env)
	if err != nil {
		return &CommitError{Step: "look into new/", Err: err}
	}
	if taken {
		return &CommitError{Step: "choose an id", Err: fs.ErrExist}
	}
	if err := sys.move(tmp, d.name, dir, eml); err != nil {
		return &CommitError{Step: "move content", Err: errors.Join(err, d.takeBack(eml))}
	}
	if err := sys.move(tmp, d.env, dir, env); err != nil && !d.moved(env) {
		return &CommitError{Step: "move envelope", Err: errors.Join(err, d.takeBack(eml))}
	}
	d.name, d.env = "", ""
	return nil
}

// moved tells whether the envelope is in new all the same after its move
// failed, as a network file system may report of a request that it repeated.
func (d *Draft) moved(env string) bool {
	left, err := d.s.exists(Tmp, d.env)
	if err != nil || left {
		return false
	}
	there, err := d.s.lstat(New, env)
	if err != nil {
		return false
	}
	ours, err := fstat(d.envFD)
	return err == nil && sameFile(&there, &ours)
}

// takeBack moves the content from new to tmp again, if that name is ours.
func (d *Draft) takeBack(eml string) error {
	there, err := d.s.lstat(New, eml)
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
	left, err := d.s.exists(Tmp, d.name)
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
	return errors.Join(errStays, err, d.s.sys.truncate(d.content, 0), d.s.sys.fsync(d.content))
}

// errStays ends a commit that would otherwise try another id.
var errStays = errors.New("the content, now empty, stays in new/")

// fsync makes both files durable.
func (d *Draft) fsync() error {
	sys := &d.s.sys
	if err := sys.fsync(d.content); err != nil {
		return &CommitError{Step: "fsync content", Err: err}
	}
	if err := sys.fsync(d.envFD); err != nil {
		return &CommitError{Step: "fsync envelope", Err: err}
	}
	return d.unbroken()
}

// unbroken fails where a sync for many has failed since the draft began: the
// kernel may have told that one of octets that this draft lost.
func (d *Draft) unbroken() error {
	if d.broken != d.s.commits.broken.Load() {
		return &CommitError{Step: "sync of the file system", Err: errBroken}
	}
	return nil
}

var errBroken = errors.New("a sync failed while this message was written")

// letGo ends a commit whose sync has ended. A message that is not durable loses
// its envelope's octets before it loses its lock: a drainer then sets it aside,
// and nothing is delivered that the sender feeds again. Without a lock, a drainer
// may be delivering it already: then it stays as it is.
func (d *Draft) letGo(failed error) error {
	sys := &d.s.sys
	var visible error
	switch {
	case failed != nil && d.unlocked:
		visible = errUnlocked
	case failed != nil:
		visible = sys.truncate(d.envFD, 0)
	}
	_ = unlock(d.content) // closing unlocks it as well
	if failed == nil {
		_ = sys.touch(d.envFD, d.s.fileMode) // wakes watchers; a hint
	}
	// What was synced, no close can lose.
	_ = sys.close(d.content)
	_ = sys.close(d.envFD)
	d.content, d.envFD, d.buf = -1, -1, nil
	var step *CommitError
	if errors.As(failed, &step) && visible != nil {
		return &CommitError{Step: step.Step, Visible: true, Err: errors.Join(step.Err, visible)}
	}
	return failed
}

var errUnlocked = errors.New("the content could not be locked")

func ignoreNoLocks(err error) error {
	if err == unix.ENOLCK || err == unix.EOPNOTSUPP || err == unix.EBADF {
		return nil
	}
	return err
}

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
