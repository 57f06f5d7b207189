package spoolfmt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"smap/spoolfmt/envelope"
)

// SetAside puts the message into bad, with the reason in its envelope, and
// finishes it in cur: SPOOL-FORMAT.md, 9.6. After an error the message is whole,
// and SetAside may be called again: either it is still claimed, or it is in bad
// and only what comes after that failed, which recovery does.
func (c *Claim) SetAside(reason string) error {
	if c.done {
		return nil
	}
	err := c.setAside(reason)
	if err != nil {
		return fmt.Errorf("set aside %s: %w", c.id, err)
	}
	return nil
}

func (c *Claim) setAside(reason string) error {
	if c.lone != nil {
		return c.asideLone(reason)
	}
	s := c.s
	if err := c.writeReason(reason); err != nil {
		return err
	}
	env, err := s.openRegular(Cur, c.id+KindEnvelope.Suffix())
	var odd *oddFileError
	if err != nil && !errors.As(err, &odd) {
		return fmt.Errorf("%s: %w", c.path(KindEnvelope), err)
	}
	if env != nil {
		defer env.Close() // only read
	}
	if c.foreign {
		env = nil // a copy would be ours, and could be requeued
	}
	name, err := s.intoBad(c.id, func(name string) error { return c.pairIntoBad(env, name) })
	if err != nil {
		return err
	}
	if err := errors.Join(s.sys.fsync(int(c.locked.Fd())), s.syncBoxes(Bad)); err != nil {
		if env == nil {
			return err
		}
		return errors.Join(err, s.sys.unlink(s.dirs[Bad], name+KindContent.Suffix()), s.sys.unlink(s.dirs[Bad], name+KindEnvelope.Suffix()))
	}
	c.done = true
	s.rooms.put(s, c.room)
	c.room = nil
	return errors.Join(s.leaveCur(c.id), c.unlock())
}

// pairIntoBad gives both files a name in bad, the content first. An envelope that
// is no regular file, or another user's (env is nil), is moved there.
func (c *Claim) pairIntoBad(env *os.File, name string) error {
	s, eml := c.s, name+KindContent.Suffix()
	if err := s.linkIntoBad(c.locked, c.id+KindContent.Suffix(), eml); err != nil {
		return fmt.Errorf("link content: %w", err)
	}
	from, to := c.id+KindEnvelope.Suffix(), name+KindEnvelope.Suffix()
	var err error
	if env == nil {
		if err := s.syncBoxes(Bad); err != nil {
			return errors.Join(err, s.sys.unlink(s.dirs[Bad], eml))
		}
		err = s.sys.move(s.dirs[Cur], from, s.dirs[Bad], to)
	} else {
		err = s.linkIntoBad(env, from, to)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("link envelope: %w", err), s.sys.unlink(s.dirs[Bad], eml))
	}
	return nil
}

// writeReason puts the reason into the envelope. One that cannot be parsed gets
// it as a first line, which keeps it malformed until a person has looked; one
// that is no file or over every limit stays as it is, and so does one whose
// owner is what is wrong with it.
func (c *Claim) writeReason(reason string) error {
	if c.foreign {
		return nil
	}
	value := envelope.SetAsideValue(c.s.now(), reason)
	if c.env == nil {
		content, err := fstat(int(c.locked.Fd()))
		if err != nil {
			return fmt.Errorf("%s: %w", c.path(KindContent), err)
		}
		err = c.readEnvelope(&content)
		var bad *MalformedError
		if err != nil && !errors.As(err, &bad) {
			return err
		}
		if c.foreign {
			return nil
		}
	}
	if c.env != nil {
		if err := c.env.Set("Set-Aside", value); err != nil {
			return err
		}
		data, err := c.env.Marshal()
		if err == nil {
			return c.replaceEnvelope(data, c.s.now())
		}
		// No room below the format's limits for a reason.
		c.s.log.Warn(eventReasonNotWritten, "id", c.id, "error", err)
		return nil
	}
	raw, err := c.rawEnvelope()
	if err != nil || raw == nil {
		return err
	}
	earlier, err := c.s.maySend(&c.envIno, nil) // a feeder's first line is not a reason
	if err != nil {
		return err
	}
	if earlier {
		_, raw = envelope.CutReason(raw)
	}
	return c.replaceEnvelope(envelope.PrependReason(raw, value), c.s.now())
}

// rawEnvelope returns the octets of an envelope, nil when it is no regular file
// or too large to carry a reason.
func (c *Claim) rawEnvelope() ([]byte, error) {
	f, err := c.s.openRegular(c.box(), c.id+KindEnvelope.Suffix())
	var odd *oddFileError
	if errors.As(err, &odd) || errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close() // read only
	raw, err := io.ReadAll(io.LimitReader(f, envelope.MaxSize+1))
	if err != nil {
		return nil, err
	}
	if len(raw) > envelope.MaxSize {
		return nil, nil
	}
	return raw, nil
}
