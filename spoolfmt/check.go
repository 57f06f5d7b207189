package spoolfmt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// A Finding is a place where a spool departs from the format.
type Finding struct {
	// Section of SPOOL-FORMAT.md that says how it should be.
	Section string
	// File is relative to the spool, such as "new/ID.envelope".
	File string
	// Text says what is wrong.
	Text string
	// Note: this is worth knowing, and allowed.
	Note bool

	box  Box
	name string
	mend func(*Spool) error
}

// String returns the finding on one line.
func (f *Finding) String() string {
	return fmt.Sprintf("%s: %s (section %s)", f.File, f.Text, f.Section)
}

// Mendable tells whether Mend can do something.
func (f *Finding) Mendable() bool { return f.mend != nil }

// Mend puts it right, as any drainer would, and nothing is lost by it: a message
// that is malformed is set aside. The spool must be open for draining. ErrAlone
// means that it has to be asked again, LookAgain later.
func (f *Finding) Mend(s *Spool) error {
	if f.mend == nil {
		return errors.ErrUnsupported
	}
	return f.mend(s)
}

// CheckOptions are what Check may be told; all may be left out.
type CheckOptions struct {
	// Progress is called now and then with the number of names looked at.
	Progress func(names int)
	// Settle is how long Check waits before it looks again at what may have
	// been another process's step; 0 is a little more than a second.
	Pause time.Duration
}

// Workers and queue of a check: the work is system calls.
const (
	checkWorkers = 4
	checkQueue   = 1024
	// maxSuspects bounds what is remembered for the second look.
	maxSuspects = 10000
)

// A checker is one check of a spool.
type checker struct {
	s        *Spool
	o        CheckOptions
	now      time.Time
	found    func(Finding)
	mu       sync.Mutex
	suspects []Finding
}

type checkJob struct {
	box   Box
	entry Entry
}

// Check looks at every file of the spool, and calls found, one at a time, for
// what does not satisfy the format. Others may work on the spool meanwhile:
// what may be a step of theirs is looked at twice. It changes nothing; a viewer
// suffices.
func (s *Spool) Check(ctx context.Context, o CheckOptions, found func(Finding)) error {
	if o.Pause == 0 {
		o.Pause = 1100 * time.Millisecond
	}
	k := &checker{s: s, o: o, now: s.now(), found: found}
	k.checkLayout()
	if err := k.checkFiles(ctx); err != nil {
		return err
	}
	for round := 1; len(k.suspects) > 0; round++ {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(o.Pause):
		}
		var changed []Finding
		for _, f := range k.suspects {
			switch again := k.look(f.box, f.name, nil); {
			case again == nil:
			case again.Text == f.Text, round == maxLooks:
				k.emit(*again)
			default: // a step of another process, or a look that failed
				changed = append(changed, *again)
			}
		}
		k.suspects = changed
	}
	return nil
}

// maxLooks bounds how often what changes all the time is looked at again.
const maxLooks = 3

// Persists tells whether a finding about a file is still there.
func (s *Spool) Persists(f *Finding) bool {
	k := &checker{s: s, now: s.now()}
	if f.name == "" { // of the layout
		still := false
		k.found = func(g Finding) { still = still || g.File == f.File && g.Text == f.Text }
		k.checkLayout()
		return still
	}
	g := k.look(f.box, f.name, nil)
	return g != nil && g.Text == f.Text
}

func (k *checker) emit(f Finding) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.found(f)
}

// suspect remembers a finding for a second look.
func (k *checker) suspect(f Finding) {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.suspects) < maxSuspects {
		k.suspects = append(k.suspects, f)
		return
	}
	k.found(f)
}

// checkFiles looks at every name, several at a time.
func (k *checker) checkFiles(ctx context.Context) error {
	jobs := make(chan checkJob, checkQueue)
	var wg sync.WaitGroup
	for range checkWorkers {
		wg.Go(func() {
			buf := make([]byte, 0, loadBuffer)
			for j := range jobs {
				if f := k.look(j.box, j.entry.Name, buf); f != nil && f.Note {
					k.emit(*f)
				} else if f != nil {
					k.suspect(*f)
				}
			}
		})
	}
	n := 0
	var err error
	for b := Tmp; b <= Bad && err == nil; b++ {
		if k.s.Missing(b) != nil {
			continue
		}
		err = k.s.Scan(b, func(e Entry) error {
			n++
			if k.o.Progress != nil {
				k.o.Progress(n)
			}
			jobs <- checkJob{b, e}
			return ctx.Err()
		})
	}
	close(jobs)
	wg.Wait()
	return err
}
