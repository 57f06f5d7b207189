package spoolfmt

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// look returns what is wrong with a name in a box, or nil. buf is for reading.
func (k *checker) look(b Box, name string, buf []byte) *Finding {
	id, kind := SplitName(name)
	if kind == KindContent && (b == New || b == Cur) && k.has(b, id, KindEnvelope) {
		return nil // looked at with its envelope
	}
	f := &Finding{File: b.String() + "/" + name, box: b, name: name}
	st, err := lstat(k.s.dirs[b], name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return f.say("2.1", "%v", err)
	}
	switch {
	case b == Tmp:
		return k.lookTmp(f, &st)
	case kind == KindOther:
		return f.other(name)
	case b == Bad:
		return k.lookBad(f, id, kind)
	case kind == KindContent:
		return k.lookContent(f, id, &st)
	case kind == KindEnvelope:
		return k.lookEnvelope(f, id, &st, buf)
	}
	return k.lookDrop(f, id, &st)
}

func (f *Finding) say(section, format string, args ...any) *Finding {
	f.Section, f.Text = section, fmt.Sprintf(format, args...)
	return f
}

// other is a name that is none of the format's: it is ignored.
func (f *Finding) other(name string) *Finding {
	f.Note = true
	for kind := KindContent; kind <= KindDrop; kind++ {
		if id, ok := bytes.CutSuffix([]byte(name), []byte(kind.Suffix())); ok {
			return f.say("3", "%v; ignored", envelope.CheckID(string(id)))
		}
	}
	return f.say("2.1", "not a name of the format; ignored")
}

func (k *checker) lookTmp(f *Finding, st *unix.Stat_t) *Finding {
	if !older(st, k.now, Orphaned) {
		return nil
	}
	f.mend = func(s *Spool) error {
		if err := s.sys.unlink(s.dirs[Tmp], f.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	return f.say("10.4", "left by a feeder more than 36 hours ago")
}

func (k *checker) has(b Box, id string, kind Kind) bool {
	if k.s.dirs[b] < 0 {
		return false
	}
	there, err := exists(k.s.dirs[b], id+kind.Suffix())
	return there && err == nil
}

// locked tells whether somebody works on a content or drop: then its state is
// theirs.
func (k *checker) locked(b Box, name string) bool {
	busy, err := k.s.Locked(b, name)
	return busy && err == nil
}

func (k *checker) lookBad(f *Finding, id string, kind Kind) *Finding {
	if kind == KindEnvelope && !k.has(Bad, id, KindContent) && !k.has(Bad, id, KindDrop) && k.has(New, id, KindContent) && !k.has(New, id, KindEnvelope) {
		f.mend = func(s *Spool) error { return s.Requeue(id) }
		return f.say("9.7", "a requeue was cut short: the content is in new already")
	}
	return nil
}

// lookContent looks for states that a content alone shows; with an envelope
// beside it, that is where it is looked at.
func (k *checker) lookContent(f *Finding, id string, st *unix.Stat_t) *Finding {
	f.mend = mendByClaim(id)
	switch {
	case k.has(f.box, id, KindEnvelope), f.box == Cur && k.has(Cur, id, KindDrop):
		return nil
	case f.box == New:
		if k.has(Cur, id, KindEnvelope) || k.has(Bad, id, KindEnvelope) || !older(st, k.now, Orphaned) {
			return nil // TAKING is found by its envelope, and a feeder may be at work
		}
		f.mend = func(s *Spool) error {
			return (&Sweeper{s: s, atOnce: true}).orphanInNew(Entry{f.name, id, KindContent}, s.now())
		}
		return f.say("10.4", "ORPHAN: no envelope came for it in 36 hours")
	case k.locked(Cur, f.name):
		return nil
	case k.has(New, id, KindEnvelope) && !k.has(New, id, KindContent):
		return nil // found by its envelope
	case k.has(Bad, id, KindEnvelope):
		return f.say("7", "LEFT: the message was set aside, and this name of its content stayed")
	}
	return f.say("7", "DONE: the message was delivered, and its content stayed")
}

// lookEnvelope looks at a message: both files, and what the one says of the
// other.
func (k *checker) lookEnvelope(f *Finding, id string, st *unix.Stat_t, buf []byte) *Finding {
	b, eml := f.box, id+KindContent.Suffix()
	f.mend = mendByClaim(id)
	content, err := lstat(k.s.dirs[b], eml)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return k.lookApart(f, id)
	case err != nil:
		f.mend = nil
		return f.say("2.1", "%s: %v", eml, err)
	case b == Cur && k.has(Cur, id, KindDrop):
		return nil // MADE is found by its drop
	case !isRegular(&content):
		return f.say("11.2", "%s is not a regular file; the message can only be set aside", eml)
	case !isRegular(st):
		return f.say("5", "not a regular file; the message can only be set aside")
	case content.Nlink > 1 && !k.locked(b, eml):
		return f.say("10.3", "%s has %d names", eml, content.Nlink)
	}
	e, err := k.s.ReadEnvelope(b, id, buf)
	var bad *envelope.ParseError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.As(err, &bad):
		return f.say("5", "malformed: %v", bad)
	case err != nil:
		f.mend = nil
		return f.say("5", "cannot be read: %v", err)
	}
	if !k.s.maySend(st, &content) {
		return f.say("9.3", "belongs to user %d, and %s to user %d", st.Uid, eml, content.Uid)
	}
	section, text, err := k.readContent(b, eml, e, buf)
	switch {
	case err != nil:
		f.mend = nil // nothing is known of the message
		return f.say("4", "%s cannot be read: %v", eml, err)
	case text != "":
		return f.say(section, "%s %s", eml, text)
	}
	if uint32(content.Mode|st.Mode)&0o027 != 0 {
		f.Note, f.mend = true, nil
		return f.say("2.2", "mode %04o, and %04o of its content: 0640 keeps it from others", st.Mode&0o777, content.Mode&0o777)
	}
	return nil
}

// lookApart is for an envelope beside which there is no content.
func (k *checker) lookApart(f *Finding, id string) *Finding {
	eml := id + KindContent.Suffix()
	for _, other := range []Box{New, Cur} {
		if other == f.box || !k.has(other, id, KindContent) {
			continue
		}
		if k.locked(other, eml) {
			return nil
		}
		return f.say("10.1", "TAKING: its content is in %s, and nobody works on it", other)
	}
	return f.say("10.1", "ALONE: its content is gone")
}

// readContent checks a content against its envelope. An error is trouble with the
// system, and no fault of the message.
func (k *checker) readContent(b Box, name string, e *envelope.Envelope, buf []byte) (section, text string, err error) {
	fd, err := k.s.view(b, name)
	var odd *MalformedError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", "", nil // it moved on
	case errors.As(err, &odd), errors.Is(err, fs.ErrPermission): // a drainer sets it aside
		return "4", err.Error(), nil
	case err != nil:
		return "", "", err
	}
	defer k.s.sys.close(fd) // only read
	if buf == nil {
		buf = make([]byte, loadBuffer)
	}
	buf = buf[:cap(buf)]
	check := e.NewContentCheck()
	for {
		n, err := unix.Read(fd, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return "", "", err
		}
		if n <= 0 {
			section, text := unfit(check.End())
			return section, text, nil
		}
		if _, err := check.Write(buf[:n]); err != nil {
			section, text := unfit(err)
			return section, text, nil
		}
	}
}

// unfit returns which section a content breaks, and how.
func unfit(err error) (section, text string) {
	var bad *envelope.ContentError
	switch {
	case !errors.As(err, &bad):
		return "", ""
	case bad.Field == "":
		return "4", bad.Reason
	}
	return "5.2", bad.Reason
}

// lookDrop looks at a drop.
func (k *checker) lookDrop(f *Finding, id string, st *unix.Stat_t) *Finding {
	if f.box == Cur {
		if k.locked(Cur, f.name) {
			return nil
		}
		f.mend = func(s *Spool) error { return released(s.RecoverDrop(f.name)) }
		return f.say("10.2", "MAKING: a drop that nobody works on")
	}
	f.mend = func(s *Spool) error { return released(s.ClaimDrop(f.name)) }
	switch {
	case !isRegular(st):
		return f.say("11.1", "not a regular file; it can only be set aside")
	case st.Nlink > 1:
		return f.say("10.3", "has %d names", st.Nlink)
	}
	file, err := k.s.Open(New, f.name)
	if err == nil {
		defer file.Close() // only read
		_, _, err = envelope.ReadDrop(io.NewSectionReader(file, 0, st.Size), io.Discard, envelope.Missing{})
	}
	var bad *envelope.ParseError
	switch {
	case err == nil, errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.As(err, &bad):
		return f.say("6.1", "malformed: %v", bad)
	case !errors.Is(err, fs.ErrPermission): // of which a drainer sets it aside
		f.mend = nil
	}
	return f.say("6", "cannot be read: %v", err)
}

// mendByClaim does what any drainer does first: a claim resolves what crashes
// leave, and what is malformed is set aside.
func mendByClaim(id string) func(*Spool) error {
	return func(s *Spool) error {
		c, err := s.Claim(id)
		if err != nil {
			return released(nil, err)
		}
		err = c.Load()
		var bad *MalformedError
		if errors.As(err, &bad) {
			return c.SetAside(bad.Error())
		}
		return errors.Join(err, c.Release())
	}
}

// released ends a claim that was made only for what it mends. A malformed drop
// is in bad by now; what is gone was mended.
func released(c *Claim, err error) error {
	var bad *MalformedError
	if errors.As(err, &bad) || errors.Is(err, ErrGone) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.Release()
}
