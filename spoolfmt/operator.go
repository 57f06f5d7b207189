package spoolfmt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// What an operator does to messages, on purpose: SPOOL-FORMAT.md, Requeue and
// delete. The spool must be open for draining.

// Requeue sends a message, or a drop, that was set aside on its way again. Its
// deliveries stay recorded, its failures are forgotten. A message that would only be
// set aside again is refused with a *[MalformedError] and stays where it is; ErrBusy
// and ErrLinked mean what they mean to Claim, ErrBlocked that new holds a file
// of that id, and ErrGone that bad holds nothing of it. A requeue that a crash
// cut short is completed by another.
func (s *Spool) Requeue(id string) error {
	if err := envelope.CheckID(id); err != nil {
		return err
	}
	from := Bad
	f, err := s.lockAside(Bad, id+KindContent.Suffix())
	if errors.Is(err, ErrLinked) {
		if err = s.undoMove(id); err == nil {
			f, err = s.lockAside(Bad, id+KindContent.Suffix())
		}
	}
	if errors.Is(err, fs.ErrNotExist) {
		if drop, err := s.exists(Bad, id+KindDrop.Suffix()); err != nil || drop {
			if err == nil {
				err = s.requeueDrop(id)
			}
			return err
		}
		if alone, err := s.exists(Bad, id+KindEnvelope.Suffix()); err != nil {
			return err
		} else if !alone {
			return ErrGone
		}
		// A crash between the two moves left the content in new.
		from = New
		f, err = s.lockAside(New, id+KindContent.Suffix())
	}
	if errors.Is(err, fs.ErrNotExist) {
		return &MalformedError{File: "bad/" + id + KindEnvelope.Suffix(), Err: ErrAlone}
	}
	if err != nil {
		return err
	}
	c := &Claim{s: s, id: id, locked: f, aside: true}
	return c.giveUp(c.requeue(from))
}

// undoMove removes the content's name in new that a requeue left there which
// stopped in the middle of its first move. Otherwise it returns ErrLinked.
func (s *Spool) undoMove(id string) error {
	eml := id + KindContent.Suffix()
	f, err := s.openRegular(Bad, eml)
	if err != nil {
		return fmt.Errorf("bad/%s: %w", eml, err)
	}
	defer f.Close() // only locked; closing unlocks
	if err := s.lockVerified(f, Bad, eml); err != nil {
		return err
	}
	here, err := fstat(int(f.Fd()))
	if err != nil {
		return fmt.Errorf("bad/%s: %w", eml, err)
	}
	sent, err := s.exists(New, id+KindEnvelope.Suffix())
	there, terr := s.lstat(New, eml)
	if err != nil || sent || terr != nil || !sameFile(&here, &there) {
		return errors.Join(err, ErrLinked)
	}
	s.log.Warn(eventRecovered, "file", "new/"+eml, "what", "left by a requeue: removed")
	return s.sys.unlink(s.dirs[New], eml)
}

// lockAside opens, locks and verifies a file with one name.
func (s *Spool) lockAside(box Box, name string) (*os.File, error) {
	f, err := s.openRegular(box, name)
	var odd *oddFileError
	if errors.As(err, &odd) {
		return nil, &MalformedError{File: box.String() + "/" + name, Err: odd}
	}
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", box, name, err)
	}
	if err = s.lockVerified(f, box, name); err == nil {
		var st unix.Stat_t
		if st, err = fstat(int(f.Fd())); err == nil && st.Nlink > 1 {
			err = ErrLinked
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// requeue writes the reset envelope, and moves content and envelope.
func (c *Claim) requeue(from Box) error {
	s, eml, env := c.s, c.id+KindContent.Suffix(), c.id+KindEnvelope.Suffix()
	if err := c.readAside(); err != nil {
		return err
	}
	content, err := fstat(int(c.locked.Fd()))
	if err != nil {
		return fmt.Errorf("%s: %w", c.path(KindContent), err)
	}
	if err := c.sameOwner(&content); err != nil {
		return err
	}
	if err := c.sizeIs(content.Size); err != nil {
		return err
	}
	if err := c.checkContent(io.Discard); err != nil {
		return err
	}
	for _, b := range []Box{New, Cur} {
		there, err := s.filesIn(b, c.id)
		if err != nil {
			return err
		}
		if there.either().Ino != 0 || there.content.Ino != 0 && (b == Cur || from == Bad) {
			return ErrBlocked
		}
	}
	c.env.Requeue(s.now())
	data, err := c.env.Marshal()
	if err != nil {
		return err
	}
	if err := c.rewriteAside(data); err != nil {
		return fmt.Errorf("requeue: %w", err)
	}
	if from == Bad {
		if err := s.sys.move(s.dirs[Bad], eml, s.dirs[New], eml); err != nil {
			return blocked(fmt.Errorf("requeue: move bad/%s: %w", eml, err))
		}
	}
	if err := s.sys.move(s.dirs[Bad], env, s.dirs[New], env); err != nil {
		back := s.sys.move(s.dirs[New], eml, s.dirs[Bad], eml)
		return blocked(fmt.Errorf("requeue: move bad/%s: %w", env, errors.Join(err, back)))
	}
	for _, b := range []Box{New, Bad} {
		if err := s.sys.fsync(s.dirs[b]); err != nil {
			return fmt.Errorf("requeue: fsync %s/: %w", b, err)
		}
	}
	return nil
}

// blocked makes the error ErrBlocked when the name is taken.
func blocked(err error) error {
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("%w: %w", ErrBlocked, err)
	}
	return err
}

// readAside reads the envelope in bad. The line that SetAside puts before an
// envelope that cannot be parsed is taken off: a person may have mended the
// rest.
func (c *Claim) readAside() error {
	name := c.id + KindEnvelope.Suffix()
	raw, err := c.s.ReadFile(Bad, name, envelope.MaxSize+1, nil)
	if err != nil {
		return err
	}
	if c.envIno, err = c.s.lstat(Bad, name); err != nil {
		return fmt.Errorf("bad/%s: %w", name, err)
	}
	_, raw = envelope.CutReason(raw)
	if c.env, err = envelope.Parse(raw); err != nil {
		return &MalformedError{File: c.path(KindEnvelope), Err: err}
	}
	return nil
}

// rewriteAside replaces the envelope in bad, under the message's lock.
func (c *Claim) rewriteAside(data []byte) error {
	s, name := c.s, c.id+KindEnvelope.Suffix()
	private := privateName(c.id, "aside")
	fd, err := s.create(private)
	if err != nil {
		return fmt.Errorf("tmp/%s: %w", private, err)
	}
	step, err := s.fillAndClose(fd, data)
	if err == nil {
		var there unix.Stat_t
		step = "look at the envelope"
		if there, err = s.lstat(Bad, name); err == nil && !sameFile(&there, &c.envIno) {
			err = errors.New("another file now")
		}
	}
	if err == nil {
		step = "replace"
		err = s.sys.replace(s.dirs[Tmp], private, s.dirs[Bad], name)
	}
	if err != nil {
		return fmt.Errorf("bad/%s: %s: %w", name, step, errors.Join(err, s.sys.unlink(s.dirs[Tmp], private)))
	}
	if err := s.sys.fsync(s.dirs[Bad]); err != nil {
		return fmt.Errorf("fsync bad/: %w", err)
	}
	return nil
}

// requeueDrop sends a drop on its way again. The envelope beside it, which only
// holds the reason, goes after it.
func (s *Spool) requeueDrop(id string) error {
	name := id + KindDrop.Suffix()
	f, err := s.lockAside(Bad, name)
	if err != nil {
		return err
	}
	defer f.Close() // only locked; closing unlocks
	if err := s.sys.move(s.dirs[Bad], name, s.dirs[New], name); err != nil {
		return blocked(fmt.Errorf("requeue: move bad/%s: %w", name, err))
	}
	err = s.sys.unlink(s.dirs[Bad], id+KindEnvelope.Suffix())
	if errors.Is(err, fs.ErrNotExist) {
		err = nil
	}
	return errors.Join(err, s.sys.fsync(s.dirs[New]), s.sys.fsync(s.dirs[Bad]))
}
