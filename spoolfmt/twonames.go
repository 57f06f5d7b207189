package spoolfmt

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// A move by link and unlink that was cut short leaves one file under two names:
// SPOOL-FORMAT.md, B. Only names of the same id are compared, so that a
// stranger's link costs nothing and changes nothing.

// The files of one id in a box. A file with Ino 0 does not exist.
type files struct{ content, env, done unix.Stat_t }

// whole tells whether content and envelope exist.
func (f *files) whole() bool { return f.content.Ino != 0 && f.env.Ino != 0 }

// either is the envelope, or what it became.
func (f *files) either() *unix.Stat_t {
	if f.env.Ino == 0 {
		return &f.done
	}
	return &f.env
}

func (s *Spool) filesIn(box Box, id string) (f files, err error) {
	if f.content, err = s.statIfThere(box, id+KindContent.Suffix()); err != nil {
		return f, err
	}
	if f.env, err = s.statIfThere(box, id+KindEnvelope.Suffix()); err != nil {
		return f, err
	}
	f.done, err = s.statIfThere(box, id+KindDone.Suffix())
	return f, err
}

func linked(st *unix.Stat_t) bool { return st.Ino != 0 && st.Nlink > 1 }

// same tells whether two names have one file. What is no regular file is not compared:
// SPOOL-FORMAT.md, 10.4.
func same(a, b *unix.Stat_t) bool { return isRegular(a) && isRegular(b) && sameFile(a, b) }

// olderNames removes the older names of a message in new or cur, whose lock is
// held. It tells whether the message is in bad too: it was set aside, and only the
// end of that is missing, or a requeue was cut short. ErrBusy: it is in cur under the
// same lock. Of two names, the one that may go is looked at first.
func (s *Spool) olderNames(box Box, id string) (aside bool, err error) {
	here, err := s.filesIn(box, id)
	if err != nil || !linked(&here.content) && !linked(here.either()) {
		return false, err
	}
	older, err := s.filesIn(New, id)
	if err != nil {
		return false, err
	}
	newer, err := s.filesIn(Cur, id)
	if err != nil {
		return false, err
	}
	content, env := same(&older.content, &newer.content), same(&older.env, newer.either())
	if content {
		err = s.removeOlder(New, id+KindContent.Suffix())
	}
	if env {
		err = errors.Join(err, s.removeOlder(New, id+KindEnvelope.Suffix()))
	}
	if err != nil {
		return false, err
	}
	if box == New && (content || env) {
		return false, ErrBusy
	}
	for n := range maxBadNames {
		name := badName(id, n)
		used, err := s.usedInBad(name)
		if err != nil || !used {
			return false, err
		}
		if aside, err = s.olderInBad(box, id, name); err != nil || aside {
			return aside, err
		}
	}
	return false, nil
}

// olderInBad is olderNames for one name in bad.
func (s *Spool) olderInBad(box Box, id, name string) (aside bool, err error) {
	bad, err := s.filesIn(Bad, name)
	if err != nil {
		return false, err
	}
	here, err := s.filesIn(box, id)
	if err != nil {
		return false, err
	}
	content, env := same(&bad.content, &here.content), same(&bad.env, here.either())
	switch {
	case !content && !env:
		return false, nil
	case inBadToo(box, &here, &bad):
		return true, nil
	case box == New && here.env.Ino == 0 && bad.env.Ino != 0:
		return false, nil // a requeue that was cut short, for the next one
	}
	if content {
		err = s.removeOlder(Bad, name+KindContent.Suffix())
	}
	if env {
		err = errors.Join(err, s.removeOlder(Bad, name+KindEnvelope.Suffix()))
	}
	return false, errors.Join(err, s.syncBoxes(Bad))
}

// inBadToo tells whether what a box has of an id is the message that bad has whole. A
// content alone is no evidence: the envelope beside it in bad must be its own, or the last.
func inBadToo(box Box, here, bad *files) bool {
	content, env := same(&bad.content, &here.content), same(&bad.env, here.either())
	switch {
	case !bad.whole():
		return false
	case box == New:
		return env && here.content.Ino == 0
	}
	return env || content && here.either().Ino == 0
}

// removeOlder removes the name that a move should have removed.
func (s *Spool) removeOlder(box Box, name string) error {
	s.log.Warn(eventRecovered, "file", box.String()+"/"+name, "what", "second name removed")
	return ignoreNotExist(s.sys.unlink(s.dirs[box], name))
}

// leaveCur removes a message from cur that is in bad: the envelope, then, when
// that is durable, the content. The lock is held.
func (s *Spool) leaveCur(id string) error {
	eml, env := id+KindContent.Suffix(), id+KindEnvelope.Suffix()
	if err := ignoreNotExist(s.sys.unlink(s.dirs[Cur], env)); err != nil {
		return fmt.Errorf("remove cur/%s: %w", env, err)
	}
	if err := s.syncBoxes(Cur, New); err != nil {
		return err
	}
	if err := ignoreNotExist(s.sys.unlink(s.dirs[Cur], eml)); err != nil {
		return fmt.Errorf("remove cur/%s: %w", eml, err)
	}
	return nil
}
