package spoolfmt

import (
	"errors"
	"fmt"
	"io/fs"
	"sync"
)

// finished are the messages whose envelope is gone but whose content is
// not: that waits for one fsync that serves them all.
type finished struct {
	mu     sync.Mutex
	claims []*Claim
}

// maxFinished bounds the descriptors that finished messages keep open.
const maxFinished = 128

// Finish ends a message that is delivered: its envelope is removed, and from
// then on no drainer can take it. A power cut can bring it back until the next
// Flush, which must come within a second. After an error the message is still
// claimed.
func (c *Claim) Finish() error {
	if c.done {
		return nil
	}
	err := c.s.sys.unlink(c.s.dirs[c.box()], c.id+KindEnvelope.Suffix())
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("finish: %s: %w", c.path(KindEnvelope), err)
	}
	c.done = true
	c.s.rooms.put(c.s, c.room)
	c.room = nil
	if c.locked == nil {
		return c.unlock()
	}
	f := &c.s.finished
	f.mu.Lock()
	f.claims = append(f.claims, c)
	full := len(f.claims) >= maxFinished
	f.mu.Unlock()
	if full {
		return c.s.Flush()
	}
	return nil
}

// Flush makes every Finish so far durable, removes the contents and gives up
// their locks. It costs two fsyncs, whatever their number, and nothing when
// there are none. After an error the next Flush tries again.
func (s *Spool) Flush() error {
	s.finished.mu.Lock()
	claims := s.finished.claims
	s.finished.claims = nil
	s.finished.mu.Unlock()
	if len(claims) == 0 {
		return nil
	}
	// new as well: a message must not come back there because only one half
	// of its move to cur was written.
	for _, b := range []Box{New, Cur} {
		if err := s.sys.fsync(s.dirs[b]); err != nil {
			s.finished.mu.Lock()
			s.finished.claims = append(claims, s.finished.claims...)
			s.finished.mu.Unlock()
			return fmt.Errorf("finish: fsync %s/: %w", b, err)
		}
	}
	var errs []error
	for _, c := range claims {
		// What cannot be removed here, the next claim or sweep removes: a
		// content in cur without an envelope is nobody's.
		if err := s.sys.unlink(s.dirs[Cur], c.id+KindContent.Suffix()); err != nil && !errors.Is(err, fs.ErrNotExist) {
			errs = append(errs, fmt.Errorf("finish: %s: %w", c.path(KindContent), err))
		}
		errs = append(errs, c.unlock())
	}
	return errors.Join(errs...)
}
