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
	st, err := k.s.lstat(b, name)
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
	case kind == KindDone && b == New:
		f.Note = true
		return f.say("2.1", "has no meaning in new; ignored")
	case kind == KindDone:
		return k.lookDone(f, id)
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
	for kind := KindContent; kind <= KindDone; kind++ {
		if id, ok := bytes.CutSuffix([]byte(name), []byte(kind.Suffix())); ok {
			return f.say("3", "%v; ignored", envelope.CheckID(string(id)))
		}
	}
	return f.say("2.1", "not a name of the format; ignored")
}

func (k *checker) lookTmp(f *Finding, st *unix.Stat_t) *Finding {
	if !older(st, k.now, Orphaned) || isDirectory(st) {
		return nil
	}
	f.mend = func(s *Spool) error {
		return ignoreNotExist(s.sys.unlink(s.dirs[Tmp], f.name))
	}
	return f.say("10.1", "left by a feeder more than 36 hours ago")
}

func (k *checker) has(b Box, id string, kind Kind) bool {
	if k.s.dirs[b] < 0 {
		return false
	}
	there, err := k.s.exists(b, id+kind.Suffix())
	return there && err == nil
}

// locked tells whether somebody works on a content or drop: then its state is
// theirs.
func (k *checker) locked(b Box, name string) bool {
	busy, err := k.s.Locked(b, name)
	return busy && err == nil
}

// lookDrop looks at a drop.
func (k *checker) lookDrop(f *Finding, id string, st *unix.Stat_t) *Finding {
	if f.box == Cur {
		if k.locked(Cur, f.name) {
			return nil
		}
		f.mend = func(s *Spool) error { return released(s.RecoverDrop(f.name)) }
		return f.say("A.3", "MAKING: a drop that nobody works on")
	}
	f.mend = func(s *Spool) error { return released(s.ClaimDrop(f.name)) }
	switch {
	case !isRegular(st):
		return f.say("A.3", "not a regular file; it can only be set aside")
	case st.Nlink > 1:
		return f.say("B", "has %d names", st.Nlink)
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
		return f.say("A.1", "malformed: %v", bad)
	}
	f.mend = nil // nothing is known of it
	return f.say("6.1", "cannot be read: %v", err)
}

// mendByClaim does what any drainer does first: a claim resolves what crashes
// leave, and what is malformed is set aside.
func mendByClaim(id string) func(*Spool) error {
	return func(s *Spool) error {
		c, err := s.Claim(id)
		for range maxLooks {
			if errors.Is(err, ErrBusy) { // perhaps a part was mended
				c, err = s.Claim(id)
			}
		}
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
