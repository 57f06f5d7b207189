package courier

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"smap/spoolfmt"
)

// A heldBack is a message that is still claimed because an outcome could not be
// written. It is written when that is possible again; until then nobody can
// deliver it a second time, not even another drainer.
type heldBack struct {
	d    *delivery
	home *lease
	at   time.Time
	wait time.Duration
}

func (l *loop) hold(d *delivery, home *lease, now time.Time) {
	home.users++
	l.held = append(l.held, &heldBack{d: d, home: home, at: now.Add(time.Second), wait: time.Second})
}

// retryHeld tries to write what could not be written before.
func (l *loop) retryHeld(now time.Time) {
	if len(l.held) == 0 || now.Before(l.held[0].at) {
		return
	}
	keep := l.held[:0]
	for _, h := range l.held {
		if now.Before(h.at) {
			keep = append(keep, h)
			continue
		}
		r := h.d.tell(h.d.conclude())
		if r.verdict == verdictHeld && h.home != l.home && errors.Is(r.err, fs.ErrNotExist) {
			// Somebody removed the directory that it would be written to, and
			// made another. It is tried again from there, with what was known
			// before this attempt.
			l.ev.trouble(h.d.claim.ID(), fmt.Errorf("outcome is lost: %w", r.err))
			r = h.d.giveBack(report{verdict: verdictGone})
		}
		if r.verdict == verdictHeld {
			h.wait = min(2*h.wait, lastProbe)
			h.at = now.Add(h.wait)
			keep = append(keep, h)
			continue
		}
		r.home = h.home
		l.settle(r, now)
		l.leave(h.home)
	}
	l.held = keep
}

// stop ends the loop: nothing new is started, what runs may finish within the
// grace, then the agents are ended.
func (l *loop) stop() error {
	l.stopping = true
	l.ev.stop(l.running)
	grace := time.NewTimer(l.cfg.StopGrace)
	defer grace.Stop()
	for l.running > 0 {
		select {
		case r := <-l.reports:
			l.take(r, time.Now())
		case pong := <-l.c.ping:
			close(pong)
		case <-grace.C:
			l.kill(errStopping)
		}
	}
	l.sendDigest(time.Now(), true)
	return l.finish()
}

// finish waits for scans and the like, writes what is left to write and closes
// everything.
func (l *loop) finish() error {
	left := l.cfg.Once && (l.agentGate.shut || l.spoolGate.shut || l.unread[spoolfmt.New] || l.unread[spoolfmt.Cur])
	l.stopping = true
	l.w.close()
	l.kill(errStopping)
	for l.scanning || l.sweeping || l.flushing {
		select {
		case s := <-l.scans:
			l.takeScan(s, time.Now())
		case u := <-l.swept:
			l.sweeping = false
			l.endUpkeep(u, "sweep")
		case u := <-l.flushed:
			l.flushing = false
			l.endUpkeep(u, "flush")
		}
	}
	var errs []error
	for _, h := range l.held {
		if r := h.d.conclude(); r.verdict == verdictHeld {
			errs = append(errs, fmt.Errorf("outcome of %s is lost: %w", h.d.claim.ID(), r.err))
			errs = append(errs, h.d.claim.Release())
		}
	}
	errs = append(errs, l.home.spool.Close(), l.cfg.close())
	l.lastMetrics()
	l.ev.stopped(l.sum)
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if left {
		return ErrUndelivered
	}
	return nil
}
