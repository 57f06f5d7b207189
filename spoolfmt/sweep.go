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
	w.s.log.Warn("not recovered", "file", key, "error", err)
}

func older(st *unix.Stat_t, now time.Time, than time.Duration) bool {
	return now.Sub(time.Unix(st.Ctim.Unix())) >= than
}

// oldInTmp removes what a feeder that is long gone was writing.
func (w *Sweeper) oldInTmp(e Entry, now time.Time) error {
	st, err := lstat(w.s.dirs[Tmp], e.Name)
	if err != nil || !older(&st, now, Orphaned) {
		return err
	}
	if err := w.s.sys.unlink(w.s.dirs[Tmp], e.Name); err != nil {
		return err
	}
	w.s.log.Info("recovered", "file", "tmp/"+e.Name, "what", "removed after 36 hours")
	return nil
}

var errOrphan = errors.New("content without envelope")

// orphanInNew sets aside a content whose envelope never came.
func (w *Sweeper) orphanInNew(e Entry, now time.Time) error {
	if e.Kind != KindContent {
		return nil
	}
	s := w.s
	st, err := lstat(s.dirs[New], e.Name)
	if err != nil || !older(&st, now, Orphaned) {
		return err
	}
	f, err := s.openContent(New, e.Name)
	var odd *oddFileError
	if err != nil && !errors.As(err, &odd) {
		return err
	}
	if f != nil {
		defer f.Close() // read only; closing unlocks
		if err := s.lockVerified(f, New, e.Name); errors.Is(err, ErrBusy) {
			return nil
		} else if err != nil {
			return err
		}
	}
	for _, b := range []Box{New, Cur, Bad} {
		if has, err := exists(s.dirs[b], e.ID+KindEnvelope.Suffix()); err != nil || has {
			return err
		}
	}
	// A drainer that takes messages without a lock may be between its two
	// moves; not for so long.
	if !w.atOnce && !s.odd.lasted(now, sighting{state: errOrphan, id: e.ID, inode: uint64(st.Ino)}) {
		return nil
	}
	if st.Nlink > 1 {
		// One that was set aside already, but for its name here.
		if err := s.removeNamesInBad(&st); err != nil {
			return err
		}
	}
	err = s.asideOrphan(New, e)
	if err == nil {
		s.log.Warn("recovered", "file", "new/"+e.Name, "what", "no envelope in 36 hours: set aside")
	}
	return err
}

// asideOrphan moves a content to bad under a name that is free there for both
// files, and makes that durable.
func (s *Spool) asideOrphan(box Box, e Entry) error {
	for n := range maxBadNames {
		name := badName(e.ID, n)
		if taken, err := exists(s.dirs[Bad], name+KindEnvelope.Suffix()); err != nil {
			return err
		} else if taken {
			continue
		}
		err := s.sys.move(s.dirs[box], e.Name, s.dirs[Bad], name+KindContent.Suffix())
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return err
		}
		return errors.Join(s.sys.fsync(s.dirs[Bad]), s.sys.fsync(s.dirs[box]))
	}
	return fmt.Errorf("no free name in bad/ in %d attempts", maxBadNames)
}

// leftInCur resolves a content in cur that has no envelope there, which only a
// claim can tell from one that another drainer is about to use.
func (w *Sweeper) leftInCur(e Entry, _ time.Time) error {
	if e.Kind != KindContent {
		return nil
	}
	has, err := exists(w.s.dirs[Cur], e.ID+KindEnvelope.Suffix())
	if err != nil || has {
		return err
	}
	c, err := w.s.Claim(e.ID)
	for _, pass := range []error{ErrBusy, ErrGone, ErrBlocked, ErrLinked, ErrAlone} {
		if errors.Is(err, pass) {
			return nil
		}
	}
	if err != nil {
		return err
	}
	return c.Release()
}
