package courier

import (
	"errors"
	"fmt"
	"time"

	"github.com/google/renameio/v2"

	"smap/spoolfmt"
)

// onceGrace is how long a courier that runs once waits for messages that are locked,
// and for agents that cannot be reached.
const onceGrace = time.Second

// drained tells, with Config.Once, whether nothing is left that could be done now.
func (l *loop) drained(now time.Time) bool {
	if l.side.home.moved {
		return l.out == 0
	}
	fresh, due := l.d.hungry()
	if l.out > 0 || !l.d.intake.idle(now) && (fresh || due) || l.d.intake.wanted() {
		return false
	}
	if l.d.spool.shut {
		return true
	}
	if !l.d.looks.lasting(onceGrace) {
		return false
	}
	if len(l.d.looks.state) > 0 && !l.chores.nextFlush.IsZero() {
		return false // what is locked may be finished, and wait for the flush
	}
	for _, n := range l.d.lanes {
		if !n.gate.shut && n.slots > 0 && !n.waits.lasting(onceGrace) {
			return false
		}
	}
	return true
}

// leaves tells whether mail is left that could not be delivered now, and why.
func (l *loop) leaves(now time.Time) error {
	switch {
	case l.side.home.moved:
		return fmt.Errorf("%w: %s is not there any more", ErrUndelivered, l.cfg.Dir)
	case l.d.spool.shut:
		return fmt.Errorf("%w: spool: %w", ErrUndelivered, l.d.spool.why)
	case l.side.unread[spoolfmt.New] || l.side.unread[spoolfmt.Cur]:
		return fmt.Errorf("%w: a box could not be read", ErrUndelivered)
	}
	for _, n := range l.d.lanes {
		switch {
		case n.gate.why != nil && (n.gate.shut || n.size > 0):
			return fmt.Errorf("%w: %s: %w", ErrUndelivered, n.gate.what, n.gate.why)
		case n.size > 0, n.slots == 0 && !l.d.intake.idle(now):
			return fmt.Errorf("%w: %s is paused", ErrUndelivered, n.gate.what)
		}
	}
	for name, w := range l.d.looks.state {
		if !w.logged && !w.alone {
			l.ev.busy(name, now.Sub(w.since))
		}
	}
	for name, w := range l.d.looks.state {
		if w.alone {
			return fmt.Errorf("%w: %s: %w", ErrUndelivered, name, spoolfmt.ErrAlone)
		}
		return fmt.Errorf("%w: %s is locked or cannot be read", ErrUndelivered, name)
	}
	return nil
}

// stop ends the loop: nothing new is started, what runs may finish, and is flushed, within the
// grace, then the agents are ended.
func (l *loop) stop() error {
	l.stopping = true
	l.ev.stop(l.d.running())
	grace := time.NewTimer(l.cfg.StopGrace)
	defer grace.Stop()
	flush := time.NewTicker(flushAfter)
	defer flush.Stop()
	for len(l.deliveries) > 0 {
		select {
		case then := <-l.inbox:
			then(time.Now())
		case pong := <-l.c.ping:
			close(pong)
		case now := <-flush.C:
			l.flush(now)
		case <-grace.C:
			l.kill(errStopping)
		}
	}
	l.sendDigest(time.Now(), true)
	return l.finish()
}

// finish waits for what runs beside the loop, and closes everything. The closing runs
// beside the loop, because the last flush may have to wait for the disk.
func (l *loop) finish() error {
	var left error
	if l.cfg.Once && !l.stopping {
		left = l.leaves(time.Now())
	}
	l.stopping = true
	l.side.w.close()
	l.kill(errStopping)
	l.await()
	errs := l.lost
	cfg, spool, metrics := l.cfg, l.side.home.spool, l.exposition(time.Now())
	shut := cfg.Shut != "" && !cfg.Once && !l.side.home.moved
	l.beside(func() func(time.Time) {
		errs = append(errs, spool.Close(), cfg.close())
		var metricsErr, shutErr error
		if cfg.Metrics != "" {
			metricsErr = renameio.WriteFile(cfg.Metrics, []byte(metrics), 0o644)
		}
		if shut {
			shutErr = (*Shut)(nil).write(cfg.Shut)
		}
		return func(now time.Time) {
			l.choreEnded("metrics", metricsErr, now)
			l.choreEnded("shut lanes", shutErr, now)
		}
	})
	l.await()
	l.ev.stopped(&l.chores.metrics.counts)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	return left
}

// await waits until nothing runs beside the loop any more, and answers meanwhile.
func (l *loop) await() {
	for l.out > 0 {
		select {
		case then := <-l.inbox:
			then(time.Now())
		case pong := <-l.c.ping:
			close(pong)
		}
	}
}
