package spoolfmt

import (
	"errors"
	"sync"
	"sync/atomic"
)

// A committer lets commits that come together share their sync. Each has moved
// its files to new before it comes here. One of those that wait leads: it syncs
// for all of them, and hands the lead to one that came meanwhile. So a message
// that comes alone is synced at once, and many pay for one sync.
type committer struct {
	mu      sync.Mutex
	waiting []*commit
	led     bool

	// broken counts the failures of a sync that served many. What was written
	// before one may be lost without another error, and is not committed.
	broken atomic.Uint64
}

// A commit is a message that is in new and not durable yet.
type commit struct {
	d    *Draft
	turn chan bool // true: lead; false: err is the outcome
	err  error
}

// errAbandoned is the outcome of a commit whose leader panicked.
var errAbandoned = errors.New("the sync that was to serve this message did not end")

// sync makes a message durable. Its error is a *[CommitError].
func (g *committer) sync(d *Draft) error {
	c := &commit{d: d, turn: make(chan bool, 1), err: &CommitError{Step: "sync", Err: errAbandoned}}
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	if !g.led {
		g.led = true
		c.turn <- true
	}
	g.mu.Unlock()
	if <-c.turn {
		g.lead(d.s)
	}
	return c.err
}

// lead syncs for all that wait, the leader among them. Whatever happens, nobody
// is left waiting.
func (g *committer) lead(s *Spool) {
	g.mu.Lock()
	batch := g.waiting
	g.waiting = nil
	g.mu.Unlock()
	defer func() {
		for _, c := range batch {
			c.turn <- false // the leader does not read its own
		}
		g.mu.Lock()
		defer g.mu.Unlock()
		if g.led = len(g.waiting) > 0; g.led {
			g.waiting[0].turn <- true
		}
	}()
	if len(batch) == 1 || !g.syncAll(s, batch) {
		syncEach(s, batch)
	}
}

// syncAll serves a batch with one sync of the file system, where that exists.
func (g *committer) syncAll(s *Spool, batch []*commit) bool {
	err := s.sys.syncfs(s.dirs[New])
	if errors.Is(err, errors.ErrUnsupported) {
		return false
	}
	if err != nil {
		g.broken.Add(1)
		err = &CommitError{Step: "sync of the file system", Err: err}
	}
	for _, c := range batch {
		if c.err = err; err == nil {
			c.err = c.d.unbroken()
		}
	}
	return true
}

// syncEach syncs the files of each, and new once.
func syncEach(s *Spool, batch []*commit) {
	// The first sync then finds the octets of all files on the disk, and commits
	// the journal once for all.
	for _, c := range batch {
		s.sys.startWriting(c.d.content)
		s.sys.startWriting(c.d.envFD)
	}
	for _, c := range batch {
		s.sys.awaitWriting(c.d.content)
		s.sys.awaitWriting(c.d.envFD)
	}
	for _, c := range batch {
		c.err = c.d.fsync()
	}
	err := s.sys.fsync(s.dirs[New])
	for _, c := range batch {
		if c.err == nil && err != nil {
			c.err = &CommitError{Step: "fsync new/", Err: err}
		}
	}
}
