package spoolfmt

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"

	"smap/spoolfmt/envelope"
)

// Delete removes a message, or a drop, wherever it is. Errors are those of
// Claim and ClaimDrop: ErrBusy is a message that is being delivered. ErrBlocked
// also says that bad uses the id, and new or cur holds another message of it:
// nothing is removed then, and DeleteAside removes the one in bad. An envelope without
// a content is deleted at once.
func (s *Spool) Delete(id string) error {
	c, err := s.Claim(id)
	if errors.Is(err, ErrAlone) {
		if c, err = s.takeLone(New, id, true); errors.Is(err, ErrGone) {
			c, err = s.takeLone(Cur, id, true)
		}
	}
	if errors.Is(err, ErrBusy) {
		err = s.onlyAside(id, err)
	}
	if err == nil {
		if err = s.onlyOne(id); err == nil {
			err = c.Finish()
		}
		if err != nil {
			return errors.Join(err, c.Release())
		}
		return s.flushAll()
	}
	if !errors.Is(err, ErrGone) {
		return err
	}
	drop, err := s.exists(New, id+KindDrop.Suffix())
	if err != nil {
		return err
	}
	if drop {
		if err = s.onlyOne(id); err == nil {
			err = s.deleteDrop(New, id)
		}
		if !errors.Is(err, fs.ErrNotExist) { // otherwise a drainer took it
			return err
		}
	}
	return s.deleteAside(id)
}

// DeleteAside removes the message, or the drop, of that id that is in bad. What new and
// cur have of the id stays.
func (s *Spool) DeleteAside(id string) error {
	if err := envelope.CheckID(id); err != nil {
		return err
	}
	return s.deleteAside(id)
}

// onlyAside returns ErrGone where what is busy is a content without its envelope, which
// is no message: a feeder may keep one in new for as long as it likes.
func (s *Spool) onlyAside(id string, busy error) error {
	for _, b := range []Box{New, Cur} {
		f, err := s.filesIn(b, id)
		if err != nil {
			return err
		}
		if f.either().Ino != 0 || b == Cur && f.content.Ino != 0 {
			return busy
		}
	}
	used, err := s.usedInBad(id)
	if err != nil || !used {
		return cmp.Or(err, busy)
	}
	return ErrGone
}

// onlyOne refuses to delete from new or cur what has the id of something in bad:
// nobody knows which of them is meant.
func (s *Spool) onlyOne(id string) error {
	used, err := s.usedInBad(id)
	if err == nil && used {
		err = fmt.Errorf("%w, in bad/", ErrBlocked)
	}
	return err
}

// deleteDrop removes a drop.
func (s *Spool) deleteDrop(box Box, id string) error {
	name := id + KindDrop.Suffix()
	f, err := s.lockAside(box, name)
	var odd *MalformedError
	if err != nil && !errors.As(err, &odd) {
		return err
	}
	if f != nil {
		defer f.Close() // only locked; closing unlocks
	}
	if err := s.sys.unlink(s.dirs[box], name); err != nil {
		return fmt.Errorf("delete %s/%s: %w", box, name, err)
	}
	return s.sys.fsync(s.dirs[box])
}

// deleteAside removes what bad holds of an id: SPOOL-FORMAT.md, 9.7. What is no
// regular file goes too.
func (s *Spool) deleteAside(id string) error {
	eml, env, done := id+KindContent.Suffix(), id+KindEnvelope.Suffix(), id+KindDone.Suffix()
	used, err := s.usedInBad(id)
	if err != nil || !used {
		return cmp.Or(err, ErrGone)
	}
	f, err := s.lockAside(Bad, eml)
	var odd *MalformedError
	if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.As(err, &odd) {
		return err
	}
	if f != nil {
		defer f.Close() // only locked; closing unlocks
	}
	if drop, err := s.exists(Bad, id+KindDrop.Suffix()); err != nil {
		return err
	} else if drop {
		if err := s.deleteDrop(Bad, id); err != nil {
			return err
		}
	}
	// The envelope first: a content alone waits for a person, and is no message.
	there, err := s.exists(Bad, env)
	if err == nil && there {
		err = ignoreNotExist(s.sys.unlink(s.dirs[Bad], done)) // which may be the same file
	}
	if err == nil {
		err = ignoreNotExist(s.sys.replace(s.dirs[Bad], env, s.dirs[Bad], done))
	}
	if err != nil {
		return fmt.Errorf("delete bad/%s: %w", env, err)
	}
	return s.endDone(Bad, id)
}
