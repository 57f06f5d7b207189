package spoolfmt

import (
	"errors"
	"sync"
	"sync/atomic"
)

// A committer makes the commits of drafts that come together share their
// syncs. The steps of each are those of SPOOL-FORMAT.md, Feed, in their order:
// both files durable, then moved to new, then new durable, then told.
//
// One of those that wait leads a round: it syncs the files of all that wait,
// moves them, and hands the lead to one that came meanwhile, whose sync makes
// these moves durable as well. Where nobody came, it syncs new. So a draft that
// comes alone is committed at once, and with many a sync serves two halves of
// them.
type committer struct {
	mu      sync.Mutex
	waiting []*commit
	led     bool
	moved   []*commit // in new, which is not synced yet; the leader's

	// broken counts the failures of a sync that served many. What was written
	// before one may be lost without another error, and is not committed.
	broken atomic.Uint64
}

// A commit is a draft whose files are written.
type commit struct {
	d    *Draft
	turn chan bool // true: lead a round; false: the outcome is there
	err  error
}

func (c *commit) end(err error) {
	c.err = err
	c.turn <- false
}

// commit makes a draft visible and durable. See [Draft.Commit] for its error.
func (g *committer) commit(d *Draft) error {
	c := &commit{d: d, turn: make(chan bool, 1)}
	g.mu.Lock()
	g.waiting = append(g.waiting, c)
	if !g.led {
		g.led = true
		c.turn <- true
	}
	g.mu.Unlock()
	for <-c.turn {
		g.round(d.s)
	}
	return c.err
}

// round makes all that wait visible, and what was made visible before durable.
func (g *committer) round(s *Spool) {
	g.mu.Lock()
	batch, moved := g.waiting, g.moved
	g.waiting, g.moved = nil, nil
	g.mu.Unlock()
	g.sync(s, batch, moved)
	var visible []*commit
	for _, c := range batch {
		if c.err == nil {
			c.err = c.d.publish()
		}
		if c.err != nil {
			c.end(c.err)
		} else {
			visible = append(visible, c)
		}
	}
	if g.handOver(visible, false) {
		return
	}
	endMoved(visible, s.sys.fsync(s.dirs[New]))
	g.handOver(nil, true)
}

// handOver gives the lead to one that waits, together with what still has to
// become durable. It tells whether there is such a one; where there is none and
// the leader has nothing left to do, the lead ends.
func (g *committer) handOver(moved []*commit, end bool) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.waiting) == 0 {
		g.led = !end
		return false
	}
	g.moved = moved
	g.waiting[0].turn <- true
	return true
}

// sync makes the files of a batch durable, and the names of what was moved. It
// ends the commits of the latter.
func (g *committer) sync(s *Spool, batch, moved []*commit) {
	if len(batch)+len(moved) > 1 {
		if err := s.sys.syncfs(s.dirs[New]); !errors.Is(err, errors.ErrUnsupported) {
			if err != nil {
				g.broken.Add(1)
			}
			endMoved(moved, err)
			for _, c := range batch {
				c.err = c.d.synced(err)
			}
			return
		}
	}
	for _, c := range batch {
		c.err = c.d.fsync()
	}
	if len(moved) > 0 {
		endMoved(moved, s.sys.fsync(s.dirs[New]))
	}
}

// endMoved ends the commits of messages that are in new, which was synced.
func endMoved(moved []*commit, err error) {
	if err != nil {
		err = &CommitError{Step: "fsync new/", Visible: true, Err: err}
	}
	for _, c := range moved {
		if !c.d.s.lockTillSync {
			c.end(err)
		} else if lerr := c.d.letGo(); err == nil {
			c.end(lerr)
		} else {
			c.end(err)
		}
	}
}
