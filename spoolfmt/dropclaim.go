package spoolfmt

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"smap/spoolfmt/envelope"
)

// ClaimDrop takes the single-file drop new/<name> and reads it into a message
// with a fresh id of its own: SPOOL-FORMAT.md, the single-file drop. Its files
// come to cur only when something is recorded of it: a message that is delivered
// at once costs no sync but that of its end. A *[MalformedError] means that the
// drop is in bad already, with its reason; the errors of Claim mean what they mean
// there.
func (s *Spool) ClaimDrop(name string) (*Claim, error) {
	if _, kind := SplitName(name); kind != KindDrop {
		return nil, fmt.Errorf("%q is not the name of a drop", name)
	}
	f, err := s.lockDrop(New, name)
	if err != nil {
		return nil, err
	}
	fresh := envelope.NewID(s.now())
	err = s.sys.move(s.dirs[New], name, s.dirs[Cur], fresh+KindDrop.Suffix())
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrGone
	}
	if err == nil {
		err = s.lockVerified(f, Cur, fresh+KindDrop.Suffix())
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s.buildFromDrop(f, fresh)
}

// RecoverDrop goes on with cur/<name>, a drop that a crash left there.
func (s *Spool) RecoverDrop(name string) (*Claim, error) {
	fresh, kind := SplitName(name)
	if kind != KindDrop {
		return nil, fmt.Errorf("%q is not the name of a drop", name)
	}
	f, err := s.lockDrop(Cur, name)
	if err != nil {
		return nil, err
	}
	// The message first, then the drop: seen in the other order, a builder
	// that ends between the two looks would have its message built twice.
	files, whole := []string{fresh + KindEnvelope.Suffix(), fresh + KindContent.Suffix()}, true
	for _, file := range files {
		there, err := exists(s.dirs[Cur], file)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		whole = whole && there
	}
	if err := s.lockVerified(f, Cur, name); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	if !whole {
		// A power cut may leave either name without the other.
		for _, file := range files {
			if err := s.sys.unlink(s.dirs[Cur], file); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, errors.Join(fmt.Errorf("cur/%s: %w", file, err), f.Close())
			}
		}
		return s.buildFromDrop(f, fresh)
	}
	// Built and perhaps not synced: it must be, before the drop goes.
	if err := s.sys.fsync(s.dirs[Cur]); err != nil {
		return nil, errors.Join(fmt.Errorf("fsync cur/: %w", err), f.Close())
	}
	if err := errors.Join(s.sys.unlink(s.dirs[Cur], name), f.Close()); err != nil {
		return nil, fmt.Errorf("cur/%s: %w", name, err)
	}
	return s.Claim(fresh)
}

// lockDrop opens, locks and verifies a drop. What is no file it sets aside.
func (s *Spool) lockDrop(box Box, name string) (*os.File, error) {
	f, err := s.openContent(box, name)
	var odd *oddFileError
	switch {
	case errors.As(err, &odd):
		return nil, s.asideDrop(box, name, odd)
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrGone
	case err != nil:
		return nil, fmt.Errorf("%s/%s: %w", box, name, err)
	}
	err = s.lockVerified(f, box, name)
	if err == nil {
		c := &Claim{s: s, id: name, locked: f}
		if err = c.single(box, name); err == nil && c.why != nil {
			if box == New {
				err = s.olderDrop(f, name)
			}
			if err == nil {
				err = s.asideDrop(box, name, c.why)
			}
		}
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// olderDrop removes the name in new of a locked drop that has one in cur too,
// and then returns ErrGone: it is being made into a message from there.
func (s *Spool) olderDrop(f *os.File, name string) error {
	st, err := fstat(int(f.Fd()))
	if err != nil {
		return fmt.Errorf("new/%s: %w", name, err)
	}
	return s.Scan(Cur, func(e Entry) error {
		taken, err := lstat(s.dirs[Cur], e.Name)
		if e.Kind != KindDrop || err != nil || !sameFile(&taken, &st) {
			return nil
		}
		s.log.Warn("recovered", "file", "new/"+name, "what", "older name of cur/"+e.Name+" removed")
		return errors.Join(ErrGone, s.sys.unlink(s.dirs[New], name))
	})
}

// buildFromDrop makes content and envelope of the locked drop in
// cur/<fresh>.mail. It takes over f.
func (s *Spool) buildFromDrop(f *os.File, fresh string) (*Claim, error) {
	d, env, err := s.draftFromDrop(f, fresh)
	var c *Claim
	if err == nil {
		c, err = s.claimDrop(f, fresh, d, env)
	}
	if err == nil {
		return c, nil
	}
	name := fresh + KindDrop.Suffix()
	var bad *envelope.ParseError
	if errors.As(err, &bad) {
		err = s.asideDrop(Cur, name, bad)
	} else {
		err = fmt.Errorf("cur/%s: %w", name, err)
	}
	return nil, errors.Join(err, f.Close())
}

// draftFromDrop writes what the drop's content will be into tmp.
func (s *Spool) draftFromDrop(f *os.File, fresh string) (*Draft, *envelope.Envelope, error) {
	d, err := s.newDraft(privateName(fresh, "drop"))
	if err != nil {
		return nil, nil, err
	}
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, 1<<62), loadBuffer)
	sender, recipients, err := envelope.ReadDropHeader(r, d)
	if err == nil {
		err = copyBody(d, r)
	}
	var env *envelope.Envelope
	if err == nil {
		env, err = envelope.New(sender, recipients)
	}
	if err != nil {
		return nil, nil, errors.Join(err, d.Abort())
	}
	return d, env, nil
}

// copyBody copies the octets after the header, and ends the last line where
// the drop does not.
func copyBody(d *Draft, r *bufio.Reader) error {
	line := 0
	for {
		chunk, err := r.Peek(1)
		if len(chunk) == 0 {
			if err != io.EOF {
				return err
			}
			break
		}
		if chunk, err = r.Peek(r.Buffered()); err != nil {
			return err
		}
		if i := bytes.IndexAny(chunk, "\r\x00"); i >= 0 {
			at := line + bytes.Count(chunk[:i], []byte{'\n'}) + 1
			return &envelope.ParseError{Line: at, Column: 1, Err: fmt.Errorf("CR or NUL in line %d of the body", at)}
		}
		line += bytes.Count(chunk, []byte{'\n'})
		if _, err := d.Write(chunk); err != nil {
			return err
		}
		if _, err := r.Discard(len(chunk)); err != nil {
			return err
		}
	}
	if d.Size() > 0 && d.last != '\n' {
		_, err := d.Write([]byte{'\n'})
		return err
	}
	return nil
}

// asideDrop moves a drop to bad and puts the reason beside it, in an envelope
// that nobody takes for one of a message. It returns a *MalformedError when
// that is done.
func (s *Spool) asideDrop(box Box, name string, reason error) error {
	file := box.String() + "/" + name
	id, _ := SplitName(name)
	for n := range maxBadNames {
		free := badName(id, n)
		if taken, err := exists(s.dirs[Bad], free+KindEnvelope.Suffix()); err != nil || taken {
			if err != nil {
				return fmt.Errorf("set aside %s: %w", file, err)
			}
			continue
		}
		err := s.sys.move(s.dirs[box], name, s.dirs[Bad], free+KindDrop.Suffix())
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			return ErrGone
		}
		if err != nil {
			return fmt.Errorf("set aside %s: %w", file, err)
		}
		if err := s.reasonBeside(free, file, reason); err != nil {
			s.log.Warn("set aside: reason not written", "file", file, "error", err)
		}
		if err := errors.Join(s.sys.fsync(s.dirs[Bad]), s.sys.fsync(s.dirs[box])); err != nil {
			return fmt.Errorf("set aside %s: %w", file, err)
		}
		return &MalformedError{File: file, Err: reason}
	}
	return fmt.Errorf("set aside %s: no free name in bad/ in %d attempts", file, maxBadNames)
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
