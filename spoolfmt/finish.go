package spoolfmt

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"

	"golang.org/x/sys/unix"
)

// finished are the messages that are done and not removed yet: that waits for
// syncs, each of which serves many.
type finished struct {
	mu     sync.Mutex
	done   []*Claim  // .done is not durable yet
	ending []endedID // the content is removed, which is not durable yet
}

// An endedID is a .done file without a content.
type endedID struct {
	id   string
	done unix.Stat_t
}

// maxFinished bounds the descriptors that finished messages keep open.
const maxFinished = 128

// Finish ends a message that is delivered: its envelope becomes the .done file,
// and from then on no drainer delivers it. A power cut can bring it back until
// the next Flush, which must come within a second. After an error the message is
// still claimed.
func (c *Claim) Finish() error {
	if c.done {
		return nil
	}
	s, env, done := c.s, c.id+KindEnvelope.Suffix(), c.id+KindDone.Suffix()
	if c.lone != nil {
		return c.removeLone()
	}
	var err error
	if c.envIno.Ino == 0 { // not loaded
		if c.envIno, err = s.statIfThere(Cur, env); err != nil {
			return fmt.Errorf("finish: %w", err)
		}
	}
	err = s.sys.replace(s.dirs[Cur], env, s.dirs[Cur], done)
	if errors.Is(err, unix.EISDIR) { // with something in it: SPOOL-FORMAT.md, 10.4
		err = s.sys.unlink(s.dirs[Cur], env)
	}
	gone := errors.Is(err, fs.ErrNotExist) // a person removed it: nothing proves that the content may go
	if err != nil && !gone {
		return fmt.Errorf("finish: %s: %w", c.path(KindEnvelope), err)
	}
	c.done = true
	s.rooms.put(s, c.room)
	c.room = nil
	if gone {
		return c.unlock()
	}
	f := &s.finished
	f.mu.Lock()
	f.done = append(f.done, c)
	full := len(f.done) >= maxFinished
	f.mu.Unlock()
	if full {
		return s.Flush()
	}
	return nil
}

// Unflushed tells whether Flush has something to do.
func (s *Spool) Unflushed() bool {
	s.finished.mu.Lock()
	defer s.finished.mu.Unlock()
	return len(s.finished.done)+len(s.finished.ending) > 0
}

// Flush makes every Finish until now durable, removes the contents and gives up
// their locks. The .done files follow at the next Flush, when the removal of the
// contents is durable; see Unflushed. A Flush costs at most two fsyncs. After an error the next Flush tries again.
func (s *Spool) Flush() error {
	f := &s.finished
	f.mu.Lock()
	done, ending := f.done, f.ending
	f.done, f.ending = nil, nil
	f.mu.Unlock()
	if len(done)+len(ending) == 0 {
		return nil
	}
	boxes := []Box{Cur}
	if len(done) > 0 {
		boxes = []Box{New, Cur} // it must not come back by one half of its move to cur
	}
	if err := s.syncBoxes(boxes...); err != nil {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.done, f.ending = append(done, f.done...), append(ending, f.ending...)
		return fmt.Errorf("finish: %w", err)
	}
	var errs []error
	for _, e := range ending {
		errs = append(errs, s.removeEnded(e))
	}
	ending = nil
	for _, c := range done {
		if err := ignoreNotExist(s.sys.unlink(s.dirs[Cur], c.id+KindContent.Suffix())); err != nil {
			errs = append(errs, fmt.Errorf("finish: %s: %w", c.path(KindContent), err)) // recovery tries again
		} else {
			ending = append(ending, endedID{c.id, c.envIno})
		}
		errs = append(errs, c.unlock())
	}
	f.mu.Lock()
	f.ending = append(f.ending, ending...)
	f.mu.Unlock()
	return errors.Join(errs...)
}

// flushAll leaves nothing of what is done in cur.
func (s *Spool) flushAll() error {
	return errors.Join(s.Flush(), s.Flush())
}

// removeEnded removes a .done file when the removal of its content is durable. No lock
// keeps the name: another drainer may have removed ours, and finished another message
// of this id since. That one may have our inode again, but not also our time.
func (s *Spool) removeEnded(e endedID) error {
	name := e.id + KindDone.Suffix()
	now, err := s.statIfThere(Cur, name)
	if err != nil || !same(&now, &e.done) || now.Mtim != e.done.Mtim {
		return err
	}
	return ignoreNotExist(s.sys.unlink(s.dirs[Cur], name))
}

// syncBoxes makes the names in boxes durable.
func (s *Spool) syncBoxes(boxes ...Box) error {
	for _, b := range boxes {
		if err := s.sys.fsync(s.dirs[b]); err != nil {
			return fmt.Errorf("fsync %s/: %w", b, err)
		}
	}
	return nil
}
