package receiver

import (
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// A Spool takes messages: a *[spoolfmt.Spool] through [FromSpool].
type Spool interface {
	NewDraft() (Draft, error)
	// Free returns the octets and inodes that are left.
	Free() (bytes, inodes uint64, err error)
}

// A Draft is a message that is being received: a *[spoolfmt.Draft].
type Draft interface {
	ID() string
	Write([]byte) (int, error)
	Size() int64
	Commit(*envelope.Envelope) error
	Abort() error
}

// maxCalls is how many sessions of a process may be at the disk at once. Each that
// waits there holds a thread; more than these would not make it faster.
const maxCalls = 64

// FromSpool makes a spool that sessions write to.
func FromSpool(s *spoolfmt.Spool) Spool { return feeder{s, make(turns, maxCalls)} }

// Turns are what sessions take one of while they are at the disk.
type turns chan struct{}

func (t turns) take() turns { t <- struct{}{}; return t }
func (t turns) end()        { <-t }

type feeder struct {
	*spoolfmt.Spool
	turns
}

func (f feeder) NewDraft() (Draft, error) {
	defer f.take().end()
	d, err := f.Spool.NewDraft()
	return draft{d, f.turns}, err
}

type draft struct {
	*spoolfmt.Draft
	turns
}

func (d draft) Write(p []byte) (int, error) {
	defer d.take().end()
	return d.Draft.Write(p)
}

func (d draft) Commit(e *envelope.Envelope) error {
	defer d.take().end()
	return d.Draft.Commit(e)
}

func (d draft) Abort() error {
	defer d.take().end()
	return d.Draft.Abort()
}
