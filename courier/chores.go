package courier

import (
	"context"
	"errors"
	"time"

	"github.com/google/renameio/v2"
)

// chores are what a courier does besides deliveries. Each runs beside the loop, one
// of its kind at a time.
type chores struct {
	nextSweep, nextFlush, nextAging time.Time

	sweeping, flushing, feeding, writing, aging bool

	metrics metrics
	digest  digest

	shut        []ShutLane // as it was written
	shutFor     *Config    // and for which configuration; nil before the first time
	writingShut bool
}

func newChores() *chores { return &chores{metrics: newMetrics()} }

const (
	sweepEvery = 5 * time.Minute
	flushAfter = time.Second
)

// wantFlush asks for a flush soon, for all that finishes until then.
func (c *chores) wantFlush(now time.Time) {
	if c.nextFlush.IsZero() {
		c.nextFlush = now.Add(flushAfter)
	}
}

// wake is how long no chore is due.
func (c *chores) wake(cfg *Config, moved bool, now time.Time) time.Duration {
	wait := longestSleep
	sooner := func(t time.Time, running bool) {
		if !running && !t.IsZero() {
			wait = min(wait, t.Sub(now))
		}
	}
	sooner(c.nextFlush, c.flushing)
	if cfg.Metrics != "" {
		sooner(c.metrics.next(), c.writing)
	}
	if !moved {
		sooner(c.nextSweep, c.sweeping)
		sooner(c.nextAging, c.aging)
		sooner(c.digest.due, c.feeding)
	}
	return wait
}

// upkeep starts what is due besides deliveries.
func (l *loop) upkeep(now time.Time) {
	c := l.chores
	if !now.Before(l.side.nextScan) {
		l.rescan()
	}
	l.look(now)
	if !now.Before(c.nextSweep) && !c.sweeping && !l.side.home.moved {
		c.sweeping, c.nextSweep = true, now.Add(sweepEvery)
		home := l.side.lease()
		l.chore("sweep", home, &c.sweeping, func() error { return home.sweeper.Sweep(l.agents, time.Now()) })
	}
	l.flush(now)
	if !now.Before(c.nextAging) && !c.aging && !l.side.home.moved {
		c.nextAging = now.Add(min(agingEvery, l.cfg.Wakeup))
		l.age(now)
	}
	l.sendDigest(now, false)
	l.writeMetrics(now)
	l.writeShut()
}

// flush starts the flush that is due.
func (l *loop) flush(now time.Time) {
	c := l.chores
	if c.nextFlush.IsZero() || now.Before(c.nextFlush) || c.flushing {
		return
	}
	c.flushing, c.nextFlush = true, time.Time{}
	home := l.side.lease()
	l.chore("flush", home, &c.flushing, home.spool.Flush)
}

// chore runs one beside the loop.
func (l *loop) chore(what string, home *lease, running *bool, work func() error) {
	l.beside(func() func(time.Time) {
		err := work()
		return func(now time.Time) {
			*running = false
			if what == "flush" && home == l.side.home && home.spool.Unflushed() {
				l.chores.wantFlush(now) // .done files wait for another sync
			}
			if what == "flush" && l.cfg.Once {
				l.d.looks.hurry(now) // what was finished is free, and gone
			}
			l.side.leave(home)
			l.choreEnded(what, err, now)
		}
	})
}

func (l *loop) choreEnded(what string, err error, now time.Time) {
	if err == nil || errors.Is(err, context.Canceled) {
		l.once.drop(what)
		return
	}
	if l.once.first(what) {
		l.ev.trouble(what, err)
	}
	if what == "flush" {
		// Finished messages stay open until they are flushed: no more of them.
		l.chores.wantFlush(now)
		l.trouble(&l.d.spool, "flush", err, now)
		l.trouble(&l.d.spool, "flush again", err, now)
	}
}

// agingEvery is how often messages whose agent cannot be reached are looked at for
// their age.
const agingEvery = time.Minute

// agingBatch bounds one such look.
const agingBatch = 256

// age looks at messages that wait for a lane whose gate is shut: reports of delays,
// and the end of the attempts, depend on age alone.
func (l *loop) age(now time.Time) {
	waits, more := l.d.toAge(agingBatch)
	if len(waits) == 0 {
		return
	}
	l.chores.aging = true
	s, home := l.sorter(), l.side.lease()
	l.beside(func() func(time.Time) {
		found := make([]sorted, len(waits))
		for i, w := range waits {
			found[i] = s.sort(w.item, true, time.Now())
		}
		return func(now time.Time) {
			l.chores.aging = false
			l.side.leave(home)
			for i, w := range waits {
				if found[i].aged {
					l.d.aged = append(l.d.aged, w)
				}
			}
			if more {
				l.chores.nextAging = now
			}
		}
	})
}

// sendDigest feeds the digest when it is due, or because it is the end. It returns
// true when it began.
func (l *loop) sendDigest(now time.Time, end bool) bool {
	c := l.chores
	if c.feeding || c.digest.count == 0 || now.Before(c.digest.due) && !end || l.side.home.moved {
		return false
	}
	if l.cfg.BadAdmin == "" {
		c.digest = digest{}
		return false
	}
	c.feeding = true
	g, cfg, home := c.digest, l.cfg, l.side.lease()
	c.digest = digest{last: now}
	l.beside(func() func(time.Time) {
		err := g.feed(home.spool, cfg, now)
		return func(now time.Time) {
			c.feeding = false
			l.side.leave(home)
			l.choreEnded("digest", err, now)
			if err != nil {
				c.digest.restore(g, now)
				return
			}
			c.metrics.counts.reports[digestReport]++
			if l.cfg.Once {
				l.d.intake.wantScan()
			}
		}
	})
	return true
}

// writeMetrics writes the file when it is time.
func (l *loop) writeMetrics(now time.Time) {
	c := l.chores
	at := c.metrics.next()
	if l.cfg.Metrics == "" || c.writing || at.IsZero() || now.Before(at) {
		return
	}
	c.metrics.changed, c.writing, c.metrics.last = false, true, now
	path, text := l.cfg.Metrics, l.exposition(now)
	l.beside(func() func(time.Time) {
		err := renameio.WriteFile(path, []byte(text), 0o644)
		return func(now time.Time) {
			c.writing = false
			l.choreEnded("metrics", err, now)
		}
	})
}
