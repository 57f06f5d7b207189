package spoolfmt

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// What a finish left that was cut short: SPOOL-FORMAT.md, 10.2 and 10.3.

// A doneState tells whether a .done file belongs to the content in its box.
type doneState int

const (
	noDone   doneState = iota
	doneFits           // its envelope: the message is done
	doneOdd            // it is another message's, or nothing
)

// readDone reads the .done file of an id. The envelope is nil where it is none.
func (s *Spool) readDone(box Box, id string) (*envelope.Envelope, doneState, error) {
	name := id + KindDone.Suffix()
	d, err := s.openRegular(box, name)
	var odd *oddFileError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, noDone, nil
	case errors.As(err, &odd):
		return nil, doneOdd, nil
	case err != nil:
		return nil, noDone, fmt.Errorf("%s/%s: %w", box, name, err)
	}
	e, err := envelope.Read(d)
	_ = d.Close() // only read
	var bad *envelope.ParseError
	if errors.As(err, &bad) {
		return nil, doneOdd, nil
	}
	if err != nil {
		return nil, noDone, fmt.Errorf("%s/%s: %w", box, name, err)
	}
	return e, doneFits, nil
}

// doneOf compares a locked content with the .done file in its box.
func (s *Spool) doneOf(f *os.File, box Box, id string) (doneState, error) {
	e, state, err := s.readDone(box, id)
	if e == nil {
		return state, err
	}
	err = checkOctets(f, e, io.Discard)
	var unfit *envelope.ContentError
	if errors.As(err, &unfit) {
		return doneOdd, nil
	}
	if err != nil {
		return noDone, fmt.Errorf("%s/%s: %w", box, id+KindContent.Suffix(), err)
	}
	return doneFits, nil
}

// endDone removes a message that is done: the content, and its .done file when
// that is durable. The content's lock is held.
func (s *Spool) endDone(box Box, id string) error {
	eml, done := id+KindContent.Suffix(), id+KindDone.Suffix()
	if err := s.syncBoxes(New, box); err != nil {
		return err
	}
	if err := ignoreNotExist(s.sys.unlink(s.dirs[box], eml)); err != nil {
		return fmt.Errorf("remove %s/%s: %w", box, eml, err)
	}
	if err := s.syncBoxes(box); err != nil {
		return err
	}
	return ignoreNotExist(s.sys.unlink(s.dirs[box], done))
}

// removeStale removes a .done file in cur that does not count. A directory with something
// in it stays, and keeps no message from its delivery; ended says that it is there.
func (s *Spool) removeStale(id string) error {
	err := ignoreNotExist(s.removeOdd(Cur, id+KindDone.Suffix()))
	if notEmpty(err) {
		return nil
	}
	return err
}

// notEmpty tells whether a directory could not be removed for what is in it.
func notEmpty(err error) bool { return errors.Is(err, unix.ENOTEMPTY) || errors.Is(err, unix.EEXIST) }

// ended removes a .done file in cur whose content is gone. One that is no regular
// file cannot be locked, and says nothing: it goes too.
func (s *Spool) ended(id string) error {
	eml, name := id+KindContent.Suffix(), id+KindDone.Suffix()
	f, err := s.openRegular(Cur, name)
	var odd *oddFileError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil && !errors.As(err, &odd):
		return fmt.Errorf("cur/%s: %w", name, err)
	}
	if f != nil {
		defer f.Close() // only locked; closing unlocks
	}
	// A drop beside it is of a message that is done, and goes first.
	if drop, err := s.exists(Cur, id+KindDrop.Suffix()); err != nil || drop {
		return cmp.Or(err, ErrBusy)
	}
	if f != nil {
		if err := s.lockVerified(f, Cur, name); err != nil {
			return err
		}
	}
	if there, err := s.statIfThere(Cur, eml); err != nil || there.Ino != 0 && isRegular(&there) {
		return cmp.Or(err, ErrBusy)
	}
	if f != nil {
		if _, err := s.olderNames(Cur, id); err != nil {
			return err
		}
	}
	if err := s.syncBoxes(Cur); err != nil {
		return err
	}
	if err := ignoreNotExist(s.removeOdd(Cur, name)); err != nil {
		return fmt.Errorf("cur/%s: cannot be removed; a person has to: %w", name, err)
	}
	s.log.Info(eventRecovered, "file", "cur/"+name, "what", "removed: its content is gone")
	return nil
}
