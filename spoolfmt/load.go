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

// Envelope returns what Load read. Changes to it last when they are recorded.
func (c *Claim) Envelope() *envelope.Envelope { return c.env }

// ContentInfo returns what the file system said of the content when Load read it.
func (c *Claim) ContentInfo() Info { return c.content }

// EnvelopePath returns the path of the envelope's file.
func (c *Claim) EnvelopePath() string { return c.s.paths[Cur] + "/" + c.id + KindEnvelope.Suffix() }

// Content returns the content for delivery: the locked descriptor itself or,
// when another user owns that file and so could still write to it, a private
// copy. Rewind it before each use.
func (c *Claim) Content() *os.File {
	if c.copy != nil {
		return c.copy
	}
	return c.locked
}

// Open returns the content once more, for reading, with a position of its own:
// for a program that may leave a process behind that reads on. The caller closes
// it.
func (c *Claim) Open() (*os.File, error) {
	if f, err := c.s.reopen(c.Content()); f != nil || err != nil {
		return f, err
	}
	if c.copy == nil {
		if f, err := c.s.openSame(Cur, c.id+KindContent.Suffix(), c.locked); f != nil || err != nil {
			return f, err
		}
	}
	// It has no name, or lost it. What has the name now may be anybody's.
	f, err := c.s.private(c.id)
	if err != nil {
		return nil, fmt.Errorf("copy of %s: %w", c.path(KindContent), err)
	}
	if _, err = io.Copy(f, io.NewSectionReader(c.Content(), 0, c.env.Size())); err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("copy of %s: %w", c.path(KindContent), err), f.Close())
	}
	return f, nil
}

// openSame opens what is open already for reading, by a name that it should
// have; nil when the name is something else's, or nobody's.
func (s *Spool) openSame(box Box, name string, open *os.File) (*os.File, error) {
	fd, err := s.sys.open(s.dirs[box], name, unix.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil // whatever the name is, it is not for us
	}
	return s.ifSame(fd, open)
}

// ifSame returns the descriptor as a file where it is the one that is open
// already, and closes it otherwise.
func (s *Spool) ifSame(fd int, open *os.File) (*os.File, error) {
	want, err := fstat(int(open.Fd()))
	var got unix.Stat_t
	if err == nil {
		got, err = fstat(fd)
	}
	if err != nil || !sameFile(&got, &want) {
		return nil, errors.Join(err, s.sys.close(fd))
	}
	return os.NewFile(uintptr(fd), open.Name()), nil
}

// Load reads the envelope and checks the content against it: its owner,
// its Size, its SHA256 where there is one, and that it holds no CR and no NUL. A
// *[MalformedError] means that the message has to be set aside; any other error
// is trouble with the system, and the message is as good as it was.
func (c *Claim) Load() error {
	if c.lone != nil {
		return &MalformedError{File: c.path(KindContent), Err: c.lone.why}
	}
	content, err := fstat(int(c.locked.Fd()))
	if err != nil {
		return fmt.Errorf("%s: %w", c.path(KindContent), err)
	}
	c.content = infoOf(&content)
	if err := c.readEnvelope(&content); err != nil {
		return err
	}
	if err := c.sizeIs(content.Size); err != nil {
		return err
	}
	if int(content.Uid) != unix.Geteuid() {
		return c.copyContent()
	}
	return c.checkContent(io.Discard)
}

// sameOwner refuses an envelope that another feeder put beside this content:
// between the two moves of a feeder that holds no lock, or under an id that is
// used again. That envelope could send anybody's mail to its owner.
func (c *Claim) sameOwner(content *unix.Stat_t) error {
	may, err := c.s.maySend(&c.envIno, content)
	if err != nil || may {
		return err
	}
	c.foreign = true
	err = fmt.Errorf("envelope belongs to user %d, and its content to user %d", c.envIno.Uid, content.Uid)
	return &MalformedError{File: c.path(KindEnvelope), Err: err}
}

// maySend tells whether an envelope's owner may decide where a content goes: the
// content's owner, root, and the drainer, which records outcomes. An envelope alone
// has no content: nil.
func (s *Spool) maySend(env, content *unix.Stat_t) (bool, error) {
	if env.Uid == 0 || content != nil && env.Uid == content.Uid {
		return true, nil
	}
	box, err := s.sys.fstat(s.dirs[New])
	if err != nil {
		return false, fmt.Errorf("owner of new/: %w", err)
	}
	return env.Uid == box.Uid, nil
}

func (c *Claim) sizeIs(n int64) error {
	if n == c.env.Size() {
		return nil
	}
	err := fmt.Errorf("content has %d octets, the envelope says %d", n, c.env.Size())
	return &MalformedError{File: c.path(KindContent), Err: err}
}

func (c *Claim) path(k Kind) string {
	return c.box().String() + "/" + c.id + k.Suffix()
}

// box is where the message is.
func (c *Claim) box() Box {
	switch {
	case c.aside:
		return Bad
	case c.lone != nil:
		return c.lone.box
	}
	return Cur
}

// readEnvelope reads the envelope of a locked content. The owner is checked before
// the text: whatever another feeder wrote, its file stays as it is.
func (c *Claim) readEnvelope(content *unix.Stat_t) error {
	name := c.id + KindEnvelope.Suffix()
	fd, st, err := c.s.view(Cur, name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s: %w", c.path(KindEnvelope), ErrGone)
	case err != nil:
		return err
	}
	data, err := readUpTo(fd, st.Size, envelope.MaxSize+1, nil)
	if err = errors.Join(err, c.s.sys.close(fd)); err != nil {
		return fmt.Errorf("%s: %w", c.path(KindEnvelope), err)
	}
	c.envIno = st
	if err := c.sameOwner(content); err != nil {
		return err
	}
	if c.env, err = envelope.Parse(data); err != nil {
		return &MalformedError{File: c.path(KindEnvelope), Err: err}
	}
	return nil
}

// private makes a file in tmp that has no name, for a copy that needs to live
// only as long as this process and its agents.
func (s *Spool) private(id string) (*os.File, error) {
	name := privateName(id, "copy")
	fd, err := s.create(name)
	if err != nil {
		return nil, err
	}
	if err := s.sys.unlink(s.dirs[Tmp], name); err != nil {
		return nil, errors.Join(err, s.sys.close(fd))
	}
	return os.NewFile(uintptr(fd), name), nil
}

// loadBuffer is large enough that system calls cost little beside the octets.
const loadBuffer = 64 << 10

// checkContent checks the content, and copies what it checks.
func (c *Claim) checkContent(to io.Writer) error {
	err := checkOctets(c.locked, c.env, to)
	var bad *envelope.ContentError
	switch {
	case errors.As(err, &bad):
		return &MalformedError{File: c.path(KindContent), Err: bad}
	case err != nil:
		return fmt.Errorf("%s: %w", c.path(KindContent), err)
	}
	return nil
}

// checkOctets passes over a content once: the check and the copy see the same
// octets. It reads one octet more than Size, and never beyond: a feeder may still
// append. Its error is an *[envelope.ContentError], or the system's.
func checkOctets(content io.ReaderAt, e *envelope.Envelope, to io.Writer) error {
	check := e.NewContentCheck()
	buf := make([]byte, min(loadBuffer, e.Size()+1))
	r := io.NewSectionReader(content, 0, e.Size()+1)
	for {
		n, err := r.Read(buf)
		if _, err := check.Write(buf[:n]); err != nil {
			return err
		}
		if _, err := to.Write(buf[:n]); err != nil {
			return fmt.Errorf("copy: %w", err)
		}
		if errors.Is(err, io.EOF) {
			return check.End()
		}
		if err != nil {
			return err
		}
	}
}
