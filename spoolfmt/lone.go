package spoolfmt

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// Envelopes whose content is missing, or is no regular file: SPOOL-FORMAT.md,
// 10.3 and 10.4.

// A lone envelope stays where it is until it goes to bad: moved to cur it would
// be beside the content of a feeder that uses its id again.
type lone struct {
	box Box
	env *os.File // locked in the place of a content; nil where it is no regular file
	why error
}

// claimLone takes an envelope that has no content: where that is a link or a directory
// at once, and where it is missing when that has lasted.
func (s *Spool) claimLone(box Box, id string) (*Claim, error) {
	return s.takeLone(box, id, false)
}

// takeLone is claimLone, which with atOnce does not wait.
func (s *Spool) takeLone(box Box, id string, atOnce bool) (*Claim, error) {
	var stays error
	if box == Cur { // where it is in the way of a content that is in new still
		if stays = s.ended(id); stays != nil && !notEmpty(stays) {
			return nil, stays
		}
	}
	name := id + KindEnvelope.Suffix()
	st, err := s.lstat(box, name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, cmp.Or(stays, ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", box, name, err)
	}
	odd, err := s.alone(box, id, &st)
	if err != nil {
		return nil, err
	}
	what := sighting{state: ErrAlone, id: id, inode: uint64(st.Ino)}
	why := notRegular()
	if !odd {
		why = ErrAlone
		if !atOnce && (!older(&st, s.now(), Orphaned) || !s.odd.lasted(s.now(), what)) {
			return nil, ErrAlone
		}
	}
	ours, err := s.maySend(&st, nil)
	if err != nil {
		return nil, err
	}
	c := &Claim{s: s, id: id, lone: &lone{box: box, why: why}, foreign: !ours}
	if err := c.lockLone(&st); err != nil {
		return nil, c.giveUp(err)
	}
	s.odd.forget(what)
	return c, nil
}

// alone makes sure that there is no content of the id, which others may be
// moving from new to cur, or removing after its envelope, at this moment: the
// looks follow the content's way, and the envelope, which goes first, is last.
// odd: something else has the content's name.
func (s *Spool) alone(box Box, id string, env *unix.Stat_t) (odd bool, err error) {
	if building, err := s.exists(Cur, id+KindDrop.Suffix()); err != nil || building {
		return false, cmp.Or(err, ErrBusy) // as in recover
	}
	for _, b := range []Box{New, Cur} {
		near, err := s.statIfThere(b, id+KindContent.Suffix())
		if err != nil {
			return false, err
		}
		if near.Ino != 0 && isRegular(&near) {
			return false, ErrBusy
		}
		odd = odd || near.Ino != 0
	}
	now, err := s.lstat(box, id+KindEnvelope.Suffix())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !sameFile(&now, env) {
		return false, ErrGone
	}
	return odd, err
}

// lockLone locks the envelope, looks again, and removes the names that a crash
// in the middle of its move left.
func (c *Claim) lockLone(st *unix.Stat_t) error {
	s, box, name := c.s, c.lone.box, c.id+KindEnvelope.Suffix()
	f, err := s.openRegular(box, name)
	var odd *oddFileError
	switch {
	case errors.As(err, &odd):
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return ErrGone
	case err != nil:
		return fmt.Errorf("%s/%s: %w", box, name, err)
	}
	c.lone.env = f
	if err := s.lockVerified(f, box, name); err != nil {
		return err
	}
	if _, err := s.alone(box, c.id, st); err != nil {
		return err
	}
	aside, err := s.olderNames(box, c.id)
	if err != nil || !aside {
		return err
	}
	if err := s.syncBoxes(Bad); err != nil {
		return err
	}
	return cmp.Or(c.removeLone(), ErrGone)
}

// removeLone ends a message that consists of an envelope alone.
func (c *Claim) removeLone() error {
	err := ignoreNotExist(c.s.sys.unlink(c.s.dirs[c.lone.box], c.id+KindEnvelope.Suffix()))
	if err != nil {
		return fmt.Errorf("finish: %s: %w", c.path(KindEnvelope), err)
	}
	c.done = true
	return errors.Join(c.s.syncBoxes(c.lone.box), c.unlock())
}

// asideLone moves the envelope to bad, and then writes the reason into it there.
// The old name is gone durably by then: a power cut must not leave a message of
// the old file beside the new one.
func (c *Claim) asideLone(reason string) error {
	s, env := c.s, c.id+KindEnvelope.Suffix()
	name, err := s.intoBad(c.id, func(name string) error {
		return s.sys.move(s.dirs[c.lone.box], env, s.dirs[Bad], name+KindEnvelope.Suffix())
	})
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrGone
	}
	if err != nil {
		return fmt.Errorf("move envelope: %w", err)
	}
	c.done = true
	err = s.syncBoxes(Bad, New, Cur)
	if err == nil && !c.foreign {
		if werr := s.reasonInBad(name, reason); werr != nil {
			s.log.Warn(eventReasonNotWritten, "id", name, "error", werr)
		}
	}
	return errors.Join(err, c.moveOddFile(name), c.unlock())
}

// moveOddFile follows its envelope to bad with what has the content's name and
// is no file, a link or a FIFO for example. The envelope has decided already;
// what will not move is left, and logged. A regular file is never moved like
// this: it may be another message's content.
func (c *Claim) moveOddFile(name string) error {
	eml := c.id + KindContent.Suffix()
	for _, b := range []Box{New, Cur} {
		st, err := c.s.lstat(b, eml)
		if err != nil || isRegular(&st) {
			continue
		}
		err = c.s.sys.move(c.s.dirs[b], eml, c.s.dirs[Bad], name+KindContent.Suffix())
		if err != nil {
			c.s.log.Warn(eventLeftBehind, "file", b.String()+"/"+eml, "error", err)
			continue
		}
		return c.s.syncBoxes(Bad, b)
	}
	return nil
}

// oddAside moves what is no regular file, and is in a message's way, to bad.
func (s *Spool) oddAside(box Box, id string, kind Kind) error {
	name := id + kind.Suffix()
	_, err := s.intoBad(id, func(free string) error {
		if st, err := s.lstat(box, name); err != nil || isRegular(&st) {
			return cmp.Or(err, ErrBusy) // another drainer was quicker
		}
		return s.sys.move(s.dirs[box], name, s.dirs[Bad], free+kind.Suffix())
	})
	if err := ignoreNotExist(err); err != nil {
		return fmt.Errorf("move %s/%s: %w", box, name, err)
	}
	s.log.Warn(eventRecovered, "file", box.String()+"/"+name, "what", "no regular file, in the way of a message: set aside")
	return s.syncBoxes(Bad, box)
}

// reasonInBad writes the reason into an envelope that is in bad already.
func (s *Spool) reasonInBad(id, reason string) error {
	c := &Claim{s: s, id: id, aside: true}
	raw, err := c.rawEnvelope()
	if err != nil || raw == nil {
		return err
	}
	if c.envIno, err = s.lstat(Bad, id+KindEnvelope.Suffix()); err != nil {
		return err
	}
	value := envelope.SetAsideValue(s.now(), reason)
	_, rest := envelope.CutReason(raw)
	data := envelope.PrependReason(rest, value)
	if e, err := envelope.Read(bytes.NewReader(raw)); err == nil {
		if err := e.Set("Set-Aside", value); err != nil {
			return err
		}
		if data, err = e.Marshal(); err != nil {
			return err
		}
	}
	return c.rewriteAside(data)
}
