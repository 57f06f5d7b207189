package spoolfmt

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// Envelopes whose content is missing, or is no file: SPOOL-FORMAT.md, 10.1 and
// 11.2.

// A lone envelope stays where it is until it goes to bad: moved to cur it would
// be beside the content of a feeder that uses its id again.
type lone struct {
	box Box
	env *os.File // locked in the place of a content; nil where it is no regular file
}

// claimLone takes an envelope whose content is gone, after LookAgain.
func (s *Spool) claimLone(box Box, id string) (*Claim, error) {
	name := id + KindEnvelope.Suffix()
	st, err := lstat(s.dirs[box], name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrGone
	}
	if err != nil {
		return nil, fmt.Errorf("%s/%s: %w", box, name, err)
	}
	if err := s.alone(box, id, &st); err != nil {
		return nil, err
	}
	what := sighting{state: ErrAlone, id: id, inode: uint64(st.Ino)}
	if !s.odd.lasted(s.now(), what) {
		return nil, ErrAlone
	}
	c := &Claim{s: s, id: id, why: ErrAlone, lone: &lone{box: box}}
	if err := c.lockLone(&st); err != nil {
		return nil, c.giveUp(err)
	}
	s.odd.forget(what)
	return c, nil
}

// alone makes sure that there is no content of the id, which others may be
// moving from new to cur, or removing after its envelope, at this moment: the
// looks follow the content's way, and the envelope, which goes first, is last.
func (s *Spool) alone(box Box, id string, env *unix.Stat_t) error {
	if box == Cur {
		if building, err := exists(s.dirs[Cur], id+KindDrop.Suffix()); err != nil || building {
			return errors.Join(err, ErrBusy) // as in takeInCur
		}
	}
	for _, b := range []Box{New, Cur} {
		if near, err := exists(s.dirs[b], id+KindContent.Suffix()); err != nil || near {
			return errors.Join(err, ErrBusy)
		}
	}
	now, err := lstat(s.dirs[box], id+KindEnvelope.Suffix())
	if errors.Is(err, fs.ErrNotExist) || err == nil && !sameFile(&now, env) {
		return ErrGone
	}
	return err
}

// lockLone locks the envelope, looks again, and removes the names that a crash
// in the middle of its move left.
func (c *Claim) lockLone(st *unix.Stat_t) error {
	s, box, name := c.s, c.lone.box, c.id+KindEnvelope.Suffix()
	f, err := s.openContent(box, name)
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
	if err := s.alone(box, c.id, st); err != nil {
		return err
	}
	if st.Nlink == 1 {
		return nil
	}
	if err := c.olderEnvelope(); err != nil {
		return err
	}
	err = s.Scan(Bad, func(e Entry) error {
		decided, err := lstat(s.dirs[Bad], e.Name)
		if err != nil || !sameFile(&decided, st) {
			return nil
		}
		s.log.Warn("recovered", "file", box.String()+"/"+name, "what", "older name of bad/"+e.Name+" removed")
		return ignoreNotExist(s.sys.unlink(s.dirs[box], name))
	})
	if err == nil {
		err = s.lockVerified(f, box, name) // ErrBusy, where one of these was its name here
	}
	return err
}

// asideLone moves the envelope to bad, and then writes the reason into it there.
// The old name has to be gone for good by then: a power cut must not leave a
// message of the old file beside the new one.
func (c *Claim) asideLone(reason string) error {
	s := c.s
	name, err := c.linkIntoBad() // without a content, a free name
	if err != nil {
		return err
	}
	err = s.sys.move(s.dirs[c.lone.box], c.id+KindEnvelope.Suffix(), s.dirs[Bad], name+KindEnvelope.Suffix())
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrGone
	}
	if err != nil {
		return fmt.Errorf("move envelope: %w", err)
	}
	c.done = true
	err = errors.Join(s.sys.fsync(s.dirs[Bad]), s.sys.fsync(s.dirs[New]), s.sys.fsync(s.dirs[Cur]))
	if err == nil {
		if werr := s.reasonInBad(name, reason); werr != nil {
			s.log.Warn("set aside: reason not written", "id", name, "error", werr)
		}
	}
	return errors.Join(err, c.unlock())
}

// reasonInBad writes the reason into an envelope that is in bad already.
func (s *Spool) reasonInBad(id, reason string) error {
	c := &Claim{s: s, id: id, aside: true}
	raw, err := c.rawEnvelope()
	if err != nil || raw == nil {
		return err
	}
	if c.envIno, err = lstat(s.dirs[Bad], id+KindEnvelope.Suffix()); err != nil {
		return err
	}
	value := envelope.SetAsideValue(s.now(), reason)
	data := envelope.PrependReason(raw, value)
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

// claimOdd takes a message whose content is there and no regular file, or
// cannot be opened as one: the envelope's move to cur alone decides.
func (s *Spool) claimOdd(box Box, id string, why error) (*Claim, error) {
	env := id + KindEnvelope.Suffix()
	if box == New {
		if taken, err := exists(s.dirs[Cur], id+KindContent.Suffix()); err != nil || taken {
			return nil, errors.Join(err, ErrBlocked)
		}
		err := s.sys.move(s.dirs[New], env, s.dirs[Cur], env)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, ErrGone
		case errors.Is(err, fs.ErrExist):
			return nil, ErrBlocked
		case err != nil:
			return nil, fmt.Errorf("move new/%s: %w", env, err)
		}
	} else if there, err := exists(s.dirs[box], env); err != nil || !there {
		return nil, errors.Join(err, ErrGone)
	}
	return &Claim{s: s, id: id, why: why}, nil
}
