package spoolfmt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"golang.org/x/sys/unix"
)

// Orphaned is how long a content may wait in new for its envelope, and a file
// in tmp for its feeder, counted from its last change of status.
const Orphaned = 36 * time.Hour

// A Sweeper removes or sets aside what crashes and broken feeders leave and no
// claim ever meets: SPOOL-FORMAT.md, Recover. It belongs to one drainer and is
// used by one goroutine.
type Sweeper struct {
	s      *Spool
	said   map[string]struct{}
	atOnce bool // an operator asked: one look is enough
}

// NewSweeper returns a sweeper of the spool, which must be open for draining.
func (s *Spool) NewSweeper() *Sweeper {
	return &Sweeper{s: s, said: make(map[string]struct{})}
}

// Sweep looks at every name in tmp, new and cur once. What it finds it logs,
// what it cannot mend it logs once; neither ends it. The error is of a box
// that could not be read, or the context's.
func (w *Sweeper) Sweep(ctx context.Context, now time.Time) error {
	steps := []struct {
		box Box
		do  func(Entry, time.Time) error
	}{
		{Tmp, w.oldInTmp},
		{New, w.orphanInNew},
		{Cur, w.leftInCur},
	}
	var errs []error
	for _, step := range steps {
		err := w.s.Scan(step.box, func(e Entry) error {
			if err := step.do(e, now); err != nil && !errors.Is(err, fs.ErrNotExist) {
				w.sayOnce(step.box, e.Name, err)
			}
			return ctx.Err()
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("sweep %s/: %w", step.box, err))
		}
	}
	return errors.Join(errs...)
}

// sayOnce logs a trouble that will be there at the next sweep as well.
func (w *Sweeper) sayOnce(b Box, name string, err error) {
	key := b.String() + "/" + name
	if _, known := w.said[key]; known {
		return
	}
	if len(w.said) >= maxSightings {
		clear(w.said)
	}
	w.said[key] = struct{}{}
	w.s.log.Warn(eventNotRecovered, "file", key, "error", err)
}

func older(st *unix.Stat_t, now time.Time, than time.Duration) bool {
	return now.Sub(time.Unix(st.Ctim.Unix())) >= than
}

// oldInTmp removes what a feeder that is long gone was writing.
func (w *Sweeper) oldInTmp(e Entry, now time.Time) error {
	st, err := w.s.lstat(Tmp, e.Name)
	if err != nil || !older(&st, now, Orphaned) || isDirectory(&st) {
		return err
	}
	if err := w.s.sys.unlink(w.s.dirs[Tmp], e.Name); err != nil {
		return err
	}
	w.s.log.Info(eventRecovered, "file", "tmp/"+e.Name, "what", "removed after 36 hours")
	return nil
}

var errOrphan = errors.New("content without envelope")

// orphanInNew sets aside a content whose envelope never came (HALF).
func (w *Sweeper) orphanInNew(e Entry, now time.Time) error {
	if e.Kind != KindContent {
		return nil
	}
	return w.orphan(New, e, now)
}

// leftInCur deals with a content in cur that has no envelope there. Only a claim
// can tell it from one that another drainer is about to use.
func (w *Sweeper) leftInCur(e Entry, now time.Time) error {
	s := w.s
	has, err := s.exists(Cur, e.ID+KindEnvelope.Suffix())
	if err != nil || has || e.Kind != KindContent && e.Kind != KindDone {
		return err
	}
	c, err := s.claimIn(Cur, e.ID) // not what new has under this id
	if err == nil {
		return c.Release()
	}
	if !errors.Is(err, ErrGone) {
		return passing(err)
	}
	if e.Kind == KindDone {
		return nil
	}
	return w.orphan(Cur, e, now) // LOST
}

// passing drops the errors of a message that somebody else owns.
func passing(err error) error {
	for _, pass := range []error{ErrBusy, ErrGone, ErrBlocked, ErrLinked, ErrAlone} {
		if errors.Is(err, pass) {
			return nil
		}
	}
	return err
}

// orphan moves a content without an envelope to bad, after 36 hours, and when it
// was seen twice.
func (w *Sweeper) orphan(box Box, e Entry, now time.Time) error {
	s := w.s
	st, err := s.lstat(box, e.Name)
	if err != nil || !older(&st, now, Orphaned) {
		return err
	}
	f, err := s.openRegular(box, e.Name)
	var odd *oddFileError
	if err != nil && !errors.As(err, &odd) {
		return err
	}
	if f != nil {
		defer f.Close() // read only; closing unlocks
		if err := s.lockVerified(f, box, e.Name); err != nil {
			return passing(err)
		}
	}
	if has, err := s.envelopeNear(box, e.ID, odd != nil); err != nil || has {
		return err
	}
	// A drainer that takes messages without a lock may be between its two moves,
	// or a restore; not for so long.
	what := sighting{state: errOrphan, id: box.String() + "/" + e.ID, inode: uint64(st.Ino)}
	if !w.atOnce && !s.odd.lasted(now, what) {
		return nil
	}
	if _, err := s.olderNames(box, e.ID); err != nil {
		return err
	}
	_, err = s.intoBad(e.ID, func(name string) error {
		return s.sys.move(s.dirs[box], e.Name, s.dirs[Bad], name+KindContent.Suffix())
	})
	if err == nil {
		err = s.syncBoxes(Bad, box)
	}
	if err == nil {
		s.odd.forget(what)
		s.log.Warn(eventRecovered, "file", box.String()+"/"+e.Name, "what", "no envelope in 36 hours: set aside")
	}
	return err
}

// envelopeNear tells whether a content may still get, or be ended by, an envelope
// of its id. Something odd gets none from bad: its envelope there came first.
func (s *Spool) envelopeNear(box Box, id string, odd bool) (bool, error) {
	near := []struct {
		box  Box
		kind Kind
	}{{New, KindEnvelope}, {Cur, KindEnvelope}, {Bad, KindEnvelope}}
	switch {
	case box == New && odd:
		near = near[:2]
	case box == Cur:
		near[2].box, near[2].kind = Cur, KindDone
		if st, err := s.statIfThere(Cur, id+KindDone.Suffix()); err != nil {
			return false, err
		} else if !isRegular(&st) { // it counts as none
			near = near[:2]
		}
		if pair, err := s.statIfThere(New, id+KindContent.Suffix()); err != nil {
			return false, err
		} else if isRegular(&pair) { // the envelope in new is another message's
			near = near[1:]
		}
	}
	for _, n := range near {
		if has, err := s.exists(n.box, id+n.kind.Suffix()); err != nil || has {
			return has, err
		}
	}
	return false, nil
}
