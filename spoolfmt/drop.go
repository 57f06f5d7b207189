package spoolfmt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// ClaimDrop takes the single-file drop new/<name> and makes a message of it,
// with a fresh id of its own: SPOOL-FORMAT.md, The single-file drop. A
// *[MalformedError] means that the drop is in bad already, with its reason. The
// errors of Claim mean what they mean there.
func (s *Spool) ClaimDrop(name string) (*Claim, error) {
	if _, kind := SplitName(name); kind != KindDrop {
		return nil, fmt.Errorf("%q is not the name of a drop", name)
	}
	f, err := s.lockDrop(New, name)
	if err != nil {
		return nil, err
	}
	id := envelope.NewID(s.now())
	err = s.sys.move(s.dirs[New], name, s.dirs[Cur], id+KindDrop.Suffix())
	if errors.Is(err, fs.ErrNotExist) {
		err = ErrGone
	}
	if err == nil {
		err = s.lockVerified(f, Cur, id+KindDrop.Suffix())
	}
	if err != nil {
		return nil, errors.Join(err, release(f))
	}
	return s.makeMessage(f, id)
}

// RecoverDrop goes on with cur/<name>, a drop that a crash left there.
func (s *Spool) RecoverDrop(name string) (*Claim, error) {
	id, kind := SplitName(name)
	if kind != KindDrop {
		return nil, fmt.Errorf("%q is not the name of a drop", name)
	}
	f, err := s.lockDrop(Cur, name)
	if err != nil {
		return nil, err
	}
	made, whole, err := s.beside(id)
	// The message first, then the drop: in the other order, a drainer that ends
	// between the two looks would have its message made twice.
	if err == nil {
		err = s.lockVerified(f, Cur, name)
	}
	if err == nil && whole {
		// It is complete, but perhaps not synced.
		if err = s.removeDrop(name); err == nil {
			err = release(f)
		}
		if err != nil {
			return nil, err
		}
		return s.Claim(id)
	}
	for _, file := range made { // a power cut may leave either without the other
		if err == nil {
			err = s.removeHalf(id, file)
		}
	}
	if err == nil {
		err = s.removeStale(id)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("cur/%s: %w", name, err), release(f))
	}
	return s.makeMessage(f, id)
}

// beside returns which of a message's files are in cur, and whether the message is
// complete: it has both files, or it is done already. A .done that is no envelope is no
// evidence of that.
func (s *Spool) beside(id string) (names []string, whole bool, err error) {
	f, err := s.filesIn(Cur, id)
	if err != nil {
		return nil, false, err
	}
	for kind, st := range map[Kind]*unix.Stat_t{KindEnvelope: &f.env, KindContent: &f.content} {
		if st.Ino != 0 {
			names = append(names, id+kind.Suffix())
		}
	}
	_, done, err := s.readDone(Cur, id)
	if err != nil {
		return nil, false, err
	}
	return names, done == doneFits || f.whole() && isRegular(&f.env) && isRegular(&f.content), nil
}

// removeHalf removes a file of a message that is not made yet. A directory with
// something in it goes to bad.
func (s *Spool) removeHalf(id, file string) error {
	err := ignoreNotExist(s.removeOdd(Cur, file))
	if notEmpty(err) {
		_, kind := SplitName(file)
		return s.oddAside(Cur, id, kind)
	}
	return err
}

// lockDrop opens, locks and verifies a drop. One that is no regular file it sets
// aside.
func (s *Spool) lockDrop(box Box, name string) (*os.File, error) {
	f, err := s.openRegular(box, name)
	var odd *oddFileError
	switch {
	case errors.As(err, &odd):
		return nil, s.asideDrop(box, name, odd)
	case errors.Is(err, fs.ErrNotExist):
		return nil, ErrGone
	case err != nil:
		return nil, fmt.Errorf("%s/%s: %w", box, name, err)
	}
	err = s.lockVerified(f, box, name)
	if err == nil {
		err = s.oneName(f, box, name)
	}
	if err != nil {
		return nil, errors.Join(err, release(f))
	}
	return f, nil
}

// oneName removes the second name of a locked drop that a crash left in the
// middle of a move: SPOOL-FORMAT.md, Moves by link and unlink. Any other second
// name does no harm; a feeder has one for a moment.
func (s *Spool) oneName(f *os.File, box Box, name string) error {
	st, err := fstat(int(f.Fd()))
	if err != nil {
		return fmt.Errorf("%s/%s: %w", box, name, err)
	}
	if st.Nlink == 1 {
		return nil
	}
	if !s.drops.begin(s.now()) {
		return ErrBusy
	}
	defer func() { s.drops.end(s.now()) }()
	// A drop has different ids in new and in cur.
	other := New
	if box == New {
		other = Cur
	}
	err = s.Scan(other, func(e Entry) error {
		if e.Kind != KindDrop {
			return nil
		}
		named, err := s.lstat(other, e.Name)
		if err != nil || !sameFile(&named, &st) {
			return nil
		}
		if box == New { // it is being made into a message in cur
			return errors.Join(ErrGone, s.removeOlder(New, name))
		}
		return s.removeOlder(New, e.Name)
	})
	if err != nil {
		return err
	}
	id, _ := SplitName(name)
	for n := range maxBadNames {
		drop, reason := badName(id, n)+KindDrop.Suffix(), badName(id, n)+KindEnvelope.Suffix()
		named, err := s.lstat(Bad, drop)
		if err != nil {
			return ignoreNotExist(err)
		}
		if sameFile(&named, &st) { // nothing was decided
			return errors.Join(s.removeOlder(Bad, drop), ignoreNotExist(s.sys.unlink(s.dirs[Bad], reason)))
		}
	}
	return nil
}

// A pace bounds how much time something takes.
type pace struct {
	mu   sync.Mutex
	busy bool
	last time.Time // when it ended
}

// begin allows one look at a time, and the next a second after its end. A look
// reads all of a box, and a feeder can give a second name to as many drops as it
// likes.
func (p *pace) begin(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if d := now.Sub(p.last); p.busy || d >= 0 && d < time.Second {
		return false
	}
	p.busy = true
	return true
}

// end ends the look that begin allowed.
func (p *pace) end(now time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.busy, p.last = false, now
}
