package spoolfmt

import (
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
	lone        *lone    // instead of locked, an envelope whose content is gone
	why         error    // why locked is nil, or what else is wrong already
	copy        *os.File // private copy of another user's content
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
	// Whatever stands in new under this id must not keep a message in cur
	// from its next attempt: a feeder may have put it there for that.
	if older, cerr := s.claimIn(Cur, id); !errors.Is(cerr, ErrGone) {
		return older, cerr
	}
	return nil, err
}

// claimIn looks for the content in one box, locks it, verifies the lock, and
// brings the message to cur.
func (s *Spool) claimIn(box Box, id string) (*Claim, error) {
	name := id + KindContent.Suffix()
	f, err := s.openContent(box, name)
	var odd *oddFileError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.claimLone(box, id)
	case errors.As(err, &odd):
		return s.claimOdd(box, id, odd)
	case err != nil:
		return nil, fmt.Errorf("%s/%s: %w", box, name, err)
	}
	c := &Claim{s: s, id: id, locked: f}
	if err := s.lockVerified(f, box, name); err != nil {
		return nil, c.giveUp(err)
	}
	if err := c.single(box, name); err != nil {
		return nil, c.giveUp(err)
	}
	if box == New {
		err = c.takeFromNew()
	} else {
		err = c.takeInCur()
	}
	if err == nil {
		// The files moved by name; what counts is the inode that is locked.
		err = s.lockVerified(f, Cur, name)
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
	if c.copy != nil {
		errs = append(errs, c.copy.Close())
		c.copy = nil
	}
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
// content from new to cur.
func (c *Claim) takeFromNew() error {
	s, eml, env := c.s, c.id+KindContent.Suffix(), c.id+KindEnvelope.Suffix()
	content, err := exists(s.dirs[Cur], eml)
	if err != nil {
		return err
	}
	envelope, err := exists(s.dirs[Cur], env)
	if err != nil {
		return err
	}
	switch {
	case content:
		return ErrBlocked
	case envelope:
		// A drainer died between its two moves. The envelope was looked for
		// after the content, so it is not one that was finished meanwhile.
		if err := c.moveContent(); err != nil {
			return err
		}
		return c.olderEnvelope()
	}
	err = s.sys.move(s.dirs[New], env, s.dirs[Cur], env)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return ErrGone
	case errors.Is(err, fs.ErrExist):
		return ErrBlocked
	case err != nil:
		return fmt.Errorf("move new/%s: %w", env, err)
	}
	return c.moveContent()
}

func (c *Claim) moveContent() error {
	eml := c.id + KindContent.Suffix()
	err := c.s.sys.move(c.s.dirs[New], eml, c.s.dirs[Cur], eml)
	if errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) {
		return ErrBusy
	}
	if err != nil {
		return fmt.Errorf("move new/%s: %w", eml, err)
	}
	return nil
}

// takeInCur decides what a content in cur is: deferred or abandoned (its
// envelope is there), left by a finish (it has none anywhere), or one of the
// states that a crash leaves.
func (c *Claim) takeInCur() error {
	s, eml, env := c.s, c.id+KindContent.Suffix(), c.id+KindEnvelope.Suffix()
	if building, err := exists(s.dirs[Cur], c.id+KindDrop.Suffix()); err != nil || building {
		return errors.Join(err, ErrBusy) // RecoverDrop's; not a message yet
	}
	here, err := exists(s.dirs[Cur], env)
	if err != nil {
		return err
	}
	if here {
		return c.olderEnvelope()
	}
	waiting, err := exists(s.dirs[New], env)
	if err != nil {
		return err
	}
	if waiting {
		pair, err := exists(s.dirs[New], eml)
		if err != nil {
			return err
		}
		if !pair {
			err := s.sys.move(s.dirs[New], env, s.dirs[Cur], env)
			if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrExist) {
				return ErrBusy
			}
			return err
		}
	}
	// Who removed the envelope may have died before the sync: a power cut must
	// not bring it back alone.
	if err := c.syncMoves(); err != nil {
		return err
	}
	if err := s.sys.unlink(s.dirs[Cur], eml); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove cur/%s: %w", eml, err)
	}
	s.log.Info("recovered", "file", "cur/"+eml, "what", "content of a finished message removed")
	if waiting {
		return ErrBusy
	}
	return ErrGone
}

// olderEnvelope removes the envelope's name in new, where a crash in the middle
// of a move left both.
func (c *Claim) olderEnvelope() error {
	s, env := c.s, c.id+KindEnvelope.Suffix()
	older, err := lstat(s.dirs[New], env)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("new/%s: %w", env, err)
	}
	ours, err := lstat(s.dirs[Cur], env)
	if err != nil || !sameFile(&older, &ours) {
		return ignoreNotExist(err)
	}
	if err := s.sys.unlink(s.dirs[New], env); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove new/%s: %w", env, err)
	}
	s.log.Warn("recovered", "file", "new/"+env, "what", "older name of cur/"+env+" removed")
	return nil
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
