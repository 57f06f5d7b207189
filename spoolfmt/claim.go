package spoolfmt

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// A Claim is a message that this process owns: its envelope is in cur, and the
// content there is locked. (An envelope whose content is gone is locked itself,
// where it was found.) It is used by one goroutine at a time, and ends with
// exactly one of Finish, SetAside and Release.
type Claim struct {
	s           *Spool
	id          string
	locked      *os.File // the content; nil when it cannot be opened as a regular file
	lone        *lone    // instead of locked, an envelope without a content
	copy        *os.File // private copy of another user's content
	inMemory    int64    // octets of the copy that memory holds, because the disk is full
	content     Info     // as Load found it
	env         *envelope.Envelope
	envIno      unix.Stat_t // the envelope file that env was read from
	room        *room       // reserved for the next Record
	foreign     bool        // env is another user's than the content
	movesSynced bool        // new and cur were synced since the claim
	done        bool
	aside       bool // the message is in bad: see Requeue
}

// ID returns the message's id.
func (c *Claim) ID() string { return c.id }

// LockedFile returns the descriptor that holds the lock, or nil when the content
// could not be opened. An agent that inherits it keeps the message owned while
// it runs, even if this process is killed.
func (c *Claim) LockedFile() *os.File { return c.locked }

// Claim takes the message of that id, from new or from cur: SPOOL-FORMAT.md,
// Claim and Recover. It never waits. Besides the errors that say who owns the
// message it returns the system's.
func (s *Spool) Claim(id string) (*Claim, error) {
	if err := envelope.CheckID(id); err != nil {
		return nil, err
	}
	c, err := s.claimIn(New, id)
	if err == nil {
		return c, nil
	}
	// Whatever new has under this id must not keep a message in cur from its
	// next attempt: a feeder may have put it there for that.
	older, cerr := s.claimIn(Cur, id)
	if cerr == nil || errors.Is(err, ErrGone) {
		return older, cerr
	}
	if errors.Is(cerr, ErrGone) || errors.Is(cerr, ErrBusy) {
		return nil, err
	}
	return nil, cerr
}

// claimIn looks for the content in one box, locks it, verifies the lock, and
// brings the message to cur.
func (s *Spool) claimIn(box Box, id string) (*Claim, error) {
	name := id + KindContent.Suffix()
	f, err := s.openRegular(box, name)
	var odd *oddFileError
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.As(err, &odd):
		return s.claimLone(box, id)
	case err != nil:
		return nil, fmt.Errorf("%s/%s: %w", box, name, err)
	}
	c := &Claim{s: s, id: id, locked: f}
	err = s.lockVerified(f, box, name)
	if err == nil && box == New {
		err = c.takeFromNew()
	} else if err == nil {
		err = c.recover()
	}
	if err != nil {
		return nil, c.giveUp(err)
	}
	return c, nil
}

// giveUp gives a failed claim's lock back.
func (c *Claim) giveUp(err error) error {
	return errors.Join(err, c.unlock())
}

// release gives up the lock on a file and closes it. Closing alone is not
// enough: an agent's child may still have the descriptor open.
func release(f *os.File) error {
	return errors.Join(ignoreNoLocks(unlock(int(f.Fd()))), f.Close())
}

func (c *Claim) unlock() error {
	var errs []error
	errs = append(errs, c.closeCopy())
	if c.locked != nil {
		errs = append(errs, release(c.locked))
		c.locked = nil
	}
	if c.lone != nil && c.lone.env != nil {
		errs = append(errs, c.lone.env.Close()) // nobody else has it open: that unlocks it
		c.lone.env = nil
	}
	return errors.Join(errs...)
}

// takeFromNew moves the envelope, which is the arbiter, and then the locked
// content from new to cur: SPOOL-FORMAT.md, 9.1. The looks into cur have this
// order because a drainer that finishes removes the content first.
func (c *Claim) takeFromNew() error {
	s, eml, env := c.s, c.id+KindContent.Suffix(), c.id+KindEnvelope.Suffix()
	content, err := fstat(int(c.locked.Fd()))
	if err != nil {
		return err
	}
	if linked(&content) { // perhaps by its name in cur; recover finds the envelope's
		if _, err := s.olderNames(New, c.id); err != nil {
			return err
		}
	}
	if drop, err := s.exists(Cur, c.id+KindDrop.Suffix()); err != nil || drop {
		return cmp.Or(err, ErrBlocked)
	}
	odd := false
	for _, name := range []string{eml, c.id + KindDone.Suffix()} {
		there, err := s.statIfThere(Cur, name)
		if err != nil || isRegular(&there) {
			return cmp.Or(err, ErrBlocked)
		}
		odd = odd || there.Ino != 0
		if there.Ino != 0 && name == eml {
			if err := s.oddAside(Cur, c.id, KindContent); err != nil {
				return err
			}
		}
	}
	taking, err := s.exists(Cur, env)
	if err != nil {
		return err
	}
	if !taking {
		if err := c.moveFromNew(env, ErrGone, ErrBlocked); err != nil {
			return err
		}
	}
	if err := c.moveFromNew(eml, ErrBusy, ErrBusy); err != nil {
		return err
	}
	if taking || odd || linked(&content) {
		return c.recover()
	}
	return c.taken()
}

// taken verifies a message whose files both have just been moved to cur: the files moved
// by name, and what counts is the inode that is locked. Of what recover looks for, only
// an older name of the envelope can be there.
func (c *Claim) taken() error {
	content, err := c.s.verified(c.locked, Cur, c.id+KindContent.Suffix())
	if err != nil {
		return err
	}
	here, err := c.s.statIfThere(Cur, c.id+KindEnvelope.Suffix())
	if err != nil {
		return err
	}
	if linked(&content) || linked(&here) || here.Ino == 0 {
		return c.recover()
	}
	return nil
}

// moveFromNew moves a file to cur. gone is the error where it is not in new any
// more, taken where the name in cur exists.
func (c *Claim) moveFromNew(name string, gone, taken error) error {
	err := c.s.sys.move(c.s.dirs[New], name, c.s.dirs[Cur], name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return gone
	case errors.Is(err, fs.ErrExist):
		return taken
	case err != nil:
		return fmt.Errorf("move new/%s: %w", name, err)
	}
	return nil
}

// recover decides what a locked content in cur is: SPOOL-FORMAT.md, 10.2. A
// content that has lost its envelope is no message: ErrGone, and a sweep sets it
// aside in the end.
func (c *Claim) recover() error {
	s, eml, env, done := c.s, c.id+KindContent.Suffix(), c.id+KindEnvelope.Suffix(), c.id+KindDone.Suffix()
	// The files moved by name; what counts is the inode that is locked.
	content, err := s.verified(c.locked, Cur, eml)
	if err != nil {
		return err
	}
	if building, err := s.exists(Cur, c.id+KindDrop.Suffix()); err != nil || building {
		return cmp.Or(err, ErrBusy) // RecoverDrop's; not a message yet
	}
	here, err := s.statIfThere(Cur, env)
	if err != nil {
		return err
	}
	if linked(&content) || linked(&here) || here.Ino == 0 {
		aside, err := s.olderNames(Cur, c.id)
		if err != nil {
			return err
		}
		if aside {
			s.log.Info(eventRecovered, "file", "cur/"+eml, "what", "removed: the message is in bad")
			if err := s.syncBoxes(Bad); err != nil {
				return err
			}
			return cmp.Or(s.leaveCur(c.id), ErrGone)
		}
	}
	if here.Ino != 0 { // it counts, whatever .done says
		stale, err := s.exists(Cur, done)
		if err != nil || !stale {
			return err
		}
		return s.removeStale(c.id)
	}
	switch state, err := s.doneOf(c.locked, Cur, c.id); {
	case err != nil:
		return err
	case state == doneFits:
		s.log.Info(eventRecovered, "file", "cur/"+eml, "what", "removed: the message is done")
		return cmp.Or(s.endDone(Cur, c.id), ErrGone)
	case state == doneOdd:
		err := ignoreNotExist(s.removeOdd(Cur, done))
		if err == nil {
			s.log.Warn(eventRecovered, "file", "cur/"+done, "what", "removed: it does not fit the content")
			return c.recover()
		}
		if !notEmpty(err) { // else it stays, and counts as none
			return fmt.Errorf("cur/%s: %w", done, err)
		}
	}
	if near, err := s.statIfThere(New, eml); err != nil || isRegular(&near) {
		return cmp.Or(err, ErrGone)
	}
	if err := c.moveFromNew(env, ErrGone, ErrBusy); err != nil {
		return err
	}
	return c.recover()
}

func ignoreNotExist(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// Release ends the claim and leaves the message in cur, for any drainer to
// claim again.
func (c *Claim) Release() error {
	if c.done {
		return nil
	}
	c.done = true
	c.s.rooms.put(c.s, c.room)
	c.room = nil
	return c.unlock()
}
