package spoolfmt

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"smap/spoolfmt/envelope"
)

// A drop is what a claim has besides its message while that is not in cur yet.
// What stands for the message is the single file; content and envelope are in
// tmp. Nothing of them has to be durable before the file is removed, so that a
// delivery need not wait for any sync: whoever finds the file after a crash
// builds the message again. SPOOL-FORMAT.md, 6.3.
type drop struct {
	file  *os.File // cur/<id>.mail, locked
	draft *Draft   // its content is the claim's; nil once both files are in cur
	tried bool     // they were to be moved there once, and were not
}

// claimDrop is a claim on a drop that was read into a draft: it takes both over.
func (s *Spool) claimDrop(f *os.File, id string, d *Draft, env *envelope.Envelope) (*Claim, error) {
	err := env.Set("Received-At", envelope.FormatTime(s.now()))
	if err == nil {
		err = d.seal(env)
	}
	if err != nil {
		return nil, errors.Join(err, d.Abort())
	}
	c := &Claim{s: s, id: id, env: env, drop: &drop{file: f, draft: d}}
	c.locked = os.NewFile(uintptr(d.content), d.name)
	return c, nil
}

// make makes a message of a drop, durably, if that was not done yet. After an
// error the drop stands for it still, and make may be called again.
func (c *Claim) make() error {
	if c.drop == nil {
		return nil
	}
	mail := c.id + KindDrop.Suffix()
	if c.drop.draft != nil {
		if err := c.place(); err != nil {
			return fmt.Errorf("cur/%s: %w", mail, err)
		}
		c.drop.draft = nil
	}
	if err := c.s.sys.fsync(c.s.dirs[Cur]); err != nil {
		return fmt.Errorf("cur/%s: fsync cur/: %w", mail, err)
	}
	if err := c.s.sys.unlink(c.s.dirs[Cur], mail); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("cur/%s: %w", mail, err)
	}
	f := c.drop.file
	c.drop, c.movesSynced = nil, true
	return release(f)
}

// place moves both files to cur, the content first and locked, once they are
// durable.
func (c *Claim) place() error {
	s, d := c.s, c.drop.draft
	// An operator may have deleted the drop: it must not come back.
	there, err := lstat(s.dirs[Cur], c.Name())
	if err != nil {
		return err
	}
	if ours, err := fstat(int(c.drop.file.Fd())); err != nil || !sameFile(&there, &ours) {
		return errors.Join(errors.New("another file now"), err)
	}
	if c.drop.tried {
		again, err := c.copyDraft()
		if err != nil {
			return err
		}
		d = again
	}
	c.drop.tried = true
	st, err := fstat(d.envFD)
	if err != nil {
		return err
	}
	if err := d.fsync(); err != nil {
		return err
	}
	// The drop's move to cur: it must not be in new again beside the message.
	if err := s.sys.fsync(s.dirs[New]); err != nil {
		return fmt.Errorf("fsync new/: %w", err)
	}
	// Before it is visible: no content in cur is ever without owner here.
	if err := lock(d.content); err != nil {
		return fmt.Errorf("lock: %w", err)
	}
	eml, env := c.id+KindContent.Suffix(), c.id+KindEnvelope.Suffix()
	if err := s.sys.move(s.dirs[Tmp], d.name, s.dirs[Cur], eml); err != nil {
		return err
	}
	d.name = ""
	if err := s.sys.move(s.dirs[Tmp], d.env, s.dirs[Cur], env); err != nil {
		return errors.Join(err, s.sys.unlink(s.dirs[Cur], eml))
	}
	d.env, c.envIno = "", st
	return nil
}

// copyDraft puts another draft in the place of one that could not be moved: a
// sync that failed once may succeed the next time with nothing written, and
// somebody may have emptied tmp.
func (c *Claim) copyDraft() (*Draft, error) {
	s := c.s
	if err := s.sys.unlink(s.dirs[Cur], c.id+KindContent.Suffix()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	d, err := s.newDraft(privateName(c.id, "again"))
	if err != nil {
		return nil, err
	}
	if _, err = io.Copy(d, io.NewSectionReader(c.locked, 0, c.env.Size()+1)); err == nil {
		err = d.seal(c.env)
	}
	if err != nil {
		return nil, errors.Join(err, d.Abort())
	}
	c.discardDraft()
	_ = c.locked.Close() // was copied
	c.drop.draft, c.locked = d, os.NewFile(uintptr(d.content), d.name)
	return d, nil
}

// discardDraft removes what a draft has left in tmp. What it cannot remove, recovery
// does in 36 hours.
func (c *Claim) discardDraft() {
	d := c.drop.draft
	if d == nil {
		return
	}
	d.content = -1 // the claim's
	if err := d.Abort(); err != nil {
		c.s.log.Warn("tmp: not removed", "file", d.id, "error", err)
	}
}

// release gives up the lock on a file and closes it. Closing alone is not
// enough: an agent's child may still have the descriptor open.
func release(f *os.File) error {
	return errors.Join(ignoreNoLocks(unlock(int(f.Fd()))), f.Close())
}

// Name returns the name in cur that stands for the message: that of its
// envelope or, as long as the message is a drop that nothing was recorded of,
// that of the drop.
func (c *Claim) Name() string {
	if c.drop != nil {
		return c.id + KindDrop.Suffix()
	}
	return c.id + KindEnvelope.Suffix()
}

// EnvelopePath returns where the envelope's file is at the moment.
func (c *Claim) EnvelopePath() string {
	if c.drop != nil && c.drop.draft != nil {
		return c.s.paths[Tmp] + "/" + c.drop.draft.env
	}
	return c.s.paths[Cur] + "/" + c.id + KindEnvelope.Suffix()
}
