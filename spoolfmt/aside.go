package spoolfmt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// SetAside moves the message to bad, with the reason in its envelope. After an
// error the message is whole, and SetAside may be called again: either it is
// still claimed, or it is in bad and only what comes after that failed, which
// recovery does.
func (c *Claim) SetAside(reason string) error {
	if c.done {
		return nil
	}
	if c.lone != nil {
		if err := c.asideLone(reason); err != nil {
			return fmt.Errorf("set aside %s: %w", c.id, err)
		}
		return nil
	}
	if err := c.writeReason(reason); err != nil {
		return fmt.Errorf("set aside %s: %w", c.id, err)
	}
	name, err := c.linkIntoBad()
	if err != nil {
		return fmt.Errorf("set aside %s: %w", c.id, err)
	}
	sys, cur, bad := &c.s.sys, c.s.dirs[Cur], c.s.dirs[Bad]
	env := c.id + KindEnvelope.Suffix()
	err = sys.move(cur, env, bad, name+KindEnvelope.Suffix())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		undo := error(nil)
		if c.locked != nil {
			undo = sys.unlink(bad, name+KindContent.Suffix())
		}
		return fmt.Errorf("set aside %s: move envelope: %w", c.id, errors.Join(err, undo))
	}
	c.done = true
	errs := []error{sys.fsync(bad), sys.fsync(cur)}
	if c.locked == nil {
		c.moveOddFile(name)
	} else if errors.Join(errs...) == nil {
		errs = append(errs, sys.unlink(cur, c.id+KindContent.Suffix()))
	}
	c.s.rooms.put(c.s, c.room)
	c.room = nil
	if err := errors.Join(append(errs, c.unlock())...); err != nil {
		return fmt.Errorf("set aside %s: %w", c.id, err)
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
		err := c.readEnvelope()
		var bad *MalformedError
		if err != nil && !errors.As(err, &bad) {
			return err
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
		c.s.log.Warn("set aside: reason not written", "id", c.id, "error", err)
		return nil
	}
	raw, err := c.rawEnvelope()
	if err != nil || raw == nil {
		return err
	}
	return c.replaceEnvelope(envelope.PrependReason(raw, value), c.s.now())
}

// rawEnvelope returns the octets of an envelope, nil when it is no regular file
// or too large to carry a reason.
func (c *Claim) rawEnvelope() ([]byte, error) {
	f, err := c.s.openContent(c.box(), c.id+KindEnvelope.Suffix())
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

// maxBadNames bounds the search for a name that is free in bad.
const maxBadNames = 1000

// linkIntoBad gives the content a name in bad that is free there for both
// files, and makes it durable. Without content it only finds the name.
func (c *Claim) linkIntoBad() (string, error) {
	bad := c.s.dirs[Bad]
	for n := range maxBadNames {
		name := badName(c.id, n)
		taken, err := exists(bad, name+KindEnvelope.Suffix())
		if err != nil {
			return "", err
		}
		if taken {
			continue
		}
		eml := name + KindContent.Suffix()
		if c.locked == nil {
			if taken, err = exists(bad, eml); err != nil {
				return "", err
			}
			if taken {
				continue
			}
			return name, nil
		}
		err = c.s.sys.link(c.s.dirs[Cur], c.id+KindContent.Suffix(), bad, eml)
		if err == unix.EPERM || err == unix.EACCES || err == unix.EMLINK || err == unix.EXDEV || err == unix.EOPNOTSUPP {
			err = c.copyIntoBad(eml)
		}
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("link content: %w", err)
		}
		if err := errors.Join(c.s.sys.fsync(int(c.locked.Fd())), c.s.sys.fsync(bad)); err != nil {
			return "", errors.Join(fmt.Errorf("fsync: %w", err), c.s.sys.unlink(bad, eml))
		}
		return name, nil
	}
	return "", fmt.Errorf("no free name in bad/ in %d attempts", maxBadNames)
}

// badName is the id itself, then the id with a number, cut where that would
// be too long.
func badName(id string, n int) string {
	if n == 0 {
		return id
	}
	suffix := "." + strconv.Itoa(n)
	return id[:min(len(id), envelope.MaxID-len(suffix))] + suffix
}

// copyIntoBad stands in for a link where the system refuses one, as Linux does
// with fs.protected_hardlinks for another user's file.
func (c *Claim) copyIntoBad(eml string) error {
	name := privateName(c.id, "aside")
	fd, err := c.s.create(name)
	if err != nil {
		return err
	}
	to := os.NewFile(uintptr(fd), name)
	_, err = io.Copy(to, io.NewSectionReader(c.locked, 0, 1<<62))
	if err == nil {
		err = c.s.sys.fsync(int(to.Fd()))
	}
	if err = errors.Join(err, to.Close()); err == nil {
		err = c.s.sys.move(c.s.dirs[Tmp], name, c.s.dirs[Bad], eml)
	}
	if err != nil {
		return errors.Join(err, c.s.sys.unlink(c.s.dirs[Tmp], name))
	}
	return nil
}

// moveOddFile follows its envelope to bad with what stands in the content's
// place and is no file, a link or a FIFO for example. The envelope has decided
// already; what will not move is left, and said. A regular file is never moved
// like this: it may be another message's content.
func (c *Claim) moveOddFile(name string) {
	eml := c.id + KindContent.Suffix()
	for _, b := range []Box{Cur, New} {
		st, err := lstat(c.s.dirs[b], eml)
		if err != nil || isRegular(&st) {
			continue
		}
		err = c.s.sys.move(c.s.dirs[b], eml, c.s.dirs[Bad], name+KindContent.Suffix())
		if err != nil {
			c.s.log.Warn("set aside: left behind", "file", b.String()+"/"+eml, "error", err)
		}
	}
}
