package spoolfmt

import (
	"errors"
	"fmt"
	"io/fs"

	"smap/spoolfmt/envelope"
)

// asideDrop moves a drop to bad and puts the reason beside it, in an envelope
// that nobody takes for one of a message. It returns a *MalformedError when
// that is done.
func (s *Spool) asideDrop(box Box, name string, reason error) error {
	file := box.String() + "/" + name
	id, _ := SplitName(name)
	free, err := s.intoBad(id, func(free string) error {
		return s.sys.move(s.dirs[box], name, s.dirs[Bad], free+KindDrop.Suffix())
	})
	if errors.Is(err, fs.ErrNotExist) {
		return ErrGone
	}
	if err == nil {
		if err := s.reasonBeside(free, file, reason); err != nil {
			s.log.Warn(eventReasonNotWritten, "file", file, "error", err)
		}
		err = s.syncBoxes(Bad, box)
	}
	if err != nil {
		return fmt.Errorf("set aside %s: %w", file, err)
	}
	return &MalformedError{File: file, Err: reason}
}

func (s *Spool) reasonBeside(id, file string, reason error) error {
	name := privateName(id, "reason")
	fd, err := s.create(name)
	if err != nil {
		return err
	}
	text := envelope.PrependReason(nil, envelope.SetAsideValue(s.now(), file+": "+reason.Error()))
	if _, err = s.fillAndClose(fd, text); err == nil {
		err = s.sys.move(s.dirs[Tmp], name, s.dirs[Bad], id+KindEnvelope.Suffix())
	}
	if err != nil {
		return errors.Join(err, s.sys.unlink(s.dirs[Tmp], name))
	}
	return nil
}
