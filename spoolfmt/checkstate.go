package spoolfmt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// The states of a message: SPOOL-FORMAT.md, 7.

// lookBad looks at what was set aside. Most of it waits for a person, whatever is
// wrong with it.
func (k *checker) lookBad(f *Finding, id string, kind Kind) *Finding {
	content := k.has(Bad, id, KindContent)
	sent, err := k.s.statIfThere(New, id+KindContent.Suffix())
	half := err == nil && sent.Ino != 0 && isRegular(&sent) && !k.has(New, id, KindEnvelope)
	switch {
	case kind == KindDone:
		f.mend = func(s *Spool) error { return s.deleteAside(id) }
		return f.say("9.7", "DELETING: a deletion was cut short")
	case kind != KindEnvelope || k.has(Bad, id, KindDrop):
		return nil
	case !content && half:
		f.mend = func(s *Spool) error { return s.Requeue(id) }
		return f.say("9.7", "SENDING: a requeue was cut short, and the content is in new already")
	}
	f.Note = true
	if !content {
		return f.say("7", "its content is not in bad")
	}
	e, err := k.s.ReadEnvelope(Bad, id, nil)
	if err != nil {
		return nil // that is why it is here
	}
	if _, text, err := k.readContent(Bad, id+KindContent.Suffix(), e); err != nil {
		f.Note = false
		return f.say("6.1", "%s cannot be read: %v", id+KindContent.Suffix(), err)
	} else if text != "" {
		return f.say("9.3", "%s %s", id+KindContent.Suffix(), text)
	}
	return nil
}

// lookContent looks for states that a content alone shows; with an envelope
// beside it, that is where it is looked at.
func (k *checker) lookContent(f *Finding, id string, st *unix.Stat_t) *Finding {
	f.mend = mendByClaim(id)
	switch {
	case k.has(f.box, id, KindEnvelope), f.box == Cur && k.has(Cur, id, KindDrop), k.locked(f.box, f.name):
		return nil
	case f.box == New && (k.has(Cur, id, KindEnvelope) || isRegular(st) && k.has(Bad, id, KindEnvelope)):
		return nil // TAKING and SENDING are found by their envelopes
	case f.box == Cur && k.has(Cur, id, KindDone):
		return k.lookEnd(f, id)
	case f.box == Cur && k.has(New, id, KindEnvelope) && (st.Nlink > 1 || !k.has(New, id, KindContent)):
		return nil // found by the envelope
	}
	if text := k.otherNames(f.box, id); text != "" {
		return f.say("B", "%s", text)
	}
	state := "HALF"
	if f.box == Cur {
		state = "LOST"
	}
	f.mend = func(s *Spool) error {
		return (&Sweeper{s: s, atOnce: true}).orphan(f.box, Entry{f.name, id, KindContent}, s.now())
	}
	return f.waits("10.1", k.now, st, state+": a content without its envelope")
}

// waits is a state that is mended 36 hours after the file has changed. Until then
// it is worth knowing.
func (f *Finding) waits(section string, now time.Time, st *unix.Stat_t, text string) *Finding {
	if !older(st, now, Orphaned) {
		f.Note, f.mend = true, nil
		text += "; it goes to bad 36 hours after its last change"
	}
	return f.say(section, "%s", text)
}

// lookEnd looks at a content beside which there is a .done file alone.
func (k *checker) lookEnd(f *Finding, id string) *Finding {
	file, err := k.s.Open(Cur, f.name)
	if err != nil {
		f.mend = nil
		return f.say("6.1", "cannot be read: %v", err)
	}
	defer file.Close() // only read
	switch done, err := k.s.doneOf(file, Cur, id); {
	case err != nil:
		f.mend = nil
		return f.say("6.1", "cannot be read: %v", err)
	case done == doneFits:
		return f.say("7", "DONE: the message is done, and its content stayed")
	case done == noDone:
		return nil // it was removed just now
	}
	return f.say("7", "STALE: the .done file beside it is another message's")
}

// lookDone looks at a .done file in cur that has no content.
func (k *checker) lookDone(f *Finding, id string) *Finding {
	if k.has(Cur, id, KindContent) || k.locked(Cur, f.name) {
		return nil // found by the content
	}
	f.mend = func(s *Spool) error { return passing(s.ended(id)) }
	return f.say("7", "ENDED: the message is done and its content is gone")
}

// otherNames tells whether a file of the message has a second name under its id.
func (k *checker) otherNames(b Box, id string) string {
	here, err := k.s.filesIn(b, id)
	if err != nil || !linked(&here.content) && !linked(here.either()) {
		return ""
	}
	for other := New; other <= Bad; other++ {
		if other == b || k.s.dirs[other] < 0 {
			continue
		}
		there, err := k.s.filesIn(other, id)
		if err != nil || !same(&here.content, &there.content) && !same(here.either(), there.either()) {
			continue
		}
		if other == Bad && inBadToo(b, &here, &there) {
			return "LEFT: the message was set aside, and its names here stayed"
		}
		return fmt.Sprintf("has a second name in %s", other)
	}
	return ""
}

// lookEnvelope looks at a message: both files, and what the one says of the
// other.
func (k *checker) lookEnvelope(f *Finding, id string, st *unix.Stat_t, buf []byte) *Finding {
	b, eml := f.box, id+KindContent.Suffix()
	f.mend = mendByClaim(id)
	content, err := k.s.lstat(b, eml)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return k.lookApart(f, id, st)
	case err != nil:
		f.mend = nil
		return f.say("2.1", "%s: %v", eml, err)
	case b == Cur && k.has(Cur, id, KindDrop):
		return nil // MADE is found by its drop
	case !isRegular(&content) && (b == Cur && k.hasContent(New, id) || b == New && k.hasContent(Cur, id)):
		return k.lookApart(f, id, st) // what is here counts as no content
	case !isRegular(&content):
		return f.say("10.4", "%s is not a regular file; the message can only be set aside", eml)
	case !isRegular(st):
		return f.say("5", "not a regular file; the message can only be set aside")
	case k.locked(b, eml):
		return nil // its state is its owner's
	case b == Cur && k.has(Cur, id, KindDone):
		return f.say("7", "UNDONE: a .done file beside it says that its end was decided; the envelope counts")
	}
	if text := k.otherNames(b, id); text != "" {
		return f.say("B", "%s", text)
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
		return f.say("6.1", "cannot be read: %v", err)
	}
	may, err := k.s.maySend(st, &content)
	switch {
	case err != nil:
		f.mend = nil
		return f.say("6.1", "cannot be judged: %v", err)
	case !may:
		return f.say("9.3", "belongs to user %d, and %s to user %d", st.Uid, eml, content.Uid)
	}
	section, text, err := k.readContent(b, eml, e)
	switch {
	case err != nil:
		f.mend = nil // nothing is known of the message
		return f.say("6.1", "%s cannot be read: %v", eml, err)
	case text != "":
		return f.say(section, "%s %s", eml, text)
	}
	if want := k.fileMode(); uint32(content.Mode|st.Mode)&0o777&^(want|0o700) != 0 {
		f.Note, f.mend = true, nil
		return f.say("2.2", "mode %04o, and %04o of its content: %04o keeps it from others", st.Mode&0o777, content.Mode&0o777, want)
	}
	return nil
}

// fileMode is the mode that files of this spool should have.
func (k *checker) fileMode() uint32 {
	tmp, err := fstat(k.s.dirs[Tmp])
	if err != nil {
		return fileMode(&unix.Stat_t{}) // tmp is missing, which is said elsewhere
	}
	return fileMode(&tmp)
}

// lookApart is for an envelope beside which there is no content.
func (k *checker) lookApart(f *Finding, id string, st *unix.Stat_t) *Finding {
	eml := id + KindContent.Suffix()
	for _, other := range []Box{New, Cur} {
		near, err := k.s.statIfThere(other, eml)
		if other == f.box || err != nil || near.Ino == 0 {
			continue
		}
		switch {
		case !isRegular(&near):
			return f.say("10.4", "%s/%s is not a regular file; the message can only be set aside", other, eml)
		case k.locked(other, eml):
			return nil
		case other == New:
			return f.say("7", "TAKING: its content is in new, and nobody works on it")
		}
		return f.say("7", "SPLIT: its content is in cur, and nobody works on it")
	}
	return f.waits("10.3", k.now, st, "ALONE: its content is gone")
}

// hasContent tells whether a box has a regular file in the place of a content.
func (k *checker) hasContent(b Box, id string) bool {
	st, err := k.s.statIfThere(b, id+KindContent.Suffix())
	return err == nil && isRegular(&st)
}

// readContent checks a content against its envelope. An error is trouble with the
// system, and no fault of the message.
func (k *checker) readContent(b Box, name string, e *envelope.Envelope) (section, text string, err error) {
	f, err := k.s.Open(b, name)
	var odd *MalformedError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", "", nil // it moved on
	case errors.As(err, &odd):
		return "4", err.Error(), nil
	case err != nil:
		return "", "", err
	}
	defer f.Close() // only read
	err = checkOctets(f, e, io.Discard)
	var bad *envelope.ContentError
	switch {
	case !errors.As(err, &bad):
		return "", "", err
	case bad.Field == "":
		return "4", bad.Reason, nil
	}
	return "5.2", bad.Reason, nil
}
