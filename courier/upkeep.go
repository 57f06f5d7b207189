package courier

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"smap/spoolfmt"
)

// A lease counts who uses an open spool, so that one that was replaced can be
// closed when the last has left.
type lease struct {
	spool   *spoolfmt.Spool
	sweeper *spoolfmt.Sweeper
	users   int
	moved   bool // its path names something else now
}

func newLease(sp *spoolfmt.Spool) *lease {
	return &lease{spool: sp, sweeper: sp.NewSweeper()}
}

// An upkeep is the end of a flush or a sweep.
type upkeep struct {
	home *lease
	err  error
}

func (l *loop) leave(h *lease) {
	h.users--
	if _, old := l.old[h]; old && h.users == 0 {
		delete(l.old, h)
		if err := h.spool.Close(); err != nil {
			l.ev.trouble("spool", err)
		}
	}
}

// upkeep starts what is due besides deliveries.
func (l *loop) upkeep(now time.Time) {
	if !now.Before(l.nextScan) {
		l.watchAndScan(now)
	}
	l.startScan(now)
	if !now.Before(l.nextSweep) && !l.sweeping && !l.home.moved {
		l.sweeping, l.nextSweep = true, now.Add(sweepEvery)
		home := l.home
		home.users++
		go func() {
			l.swept <- upkeep{home, home.sweeper.Sweep(l.agents, time.Now())}
		}()
	}
	if !l.nextFlush.IsZero() && !now.Before(l.nextFlush) && !l.flushing {
		l.flushing, l.nextFlush = true, time.Time{}
		home := l.home
		home.users++
		go func() { l.flushed <- upkeep{home, home.spool.Flush()} }()
	}
	l.retryHeld(now)
	l.sendDigest(now, false)
	l.writeMetrics(now)
}

func (l *loop) wantFlush(now time.Time) {
	if l.nextFlush.IsZero() {
		l.nextFlush = now.Add(flushAfter)
	}
}

func (l *loop) endUpkeep(u upkeep, what string) {
	l.leave(u.home)
	if u.err == nil || errors.Is(u.err, context.Canceled) {
		l.odd.drop(what)
		return
	}
	if l.odd.once(what) {
		l.ev.trouble(what, u.err)
	}
	if what == "flush" {
		l.wantFlush(time.Now())
	}
}

// startScan reads the boxes that are asked for: at once when they were short
// the last time, else beside the deliveries.
func (l *loop) startScan(now time.Time) {
	if l.scanning || !l.scanNew && !l.scanCur || l.home.moved {
		return
	}
	if watchLimit > 0 && l.w.fs == nil {
		l.nextScan = now.Add(min(l.cfg.Wakeup, pollEvery))
	}
	var boxes []spoolfmt.Box
	if l.scanNew {
		boxes = append(boxes, spoolfmt.New)
	}
	if l.scanCur {
		boxes = append(boxes, spoolfmt.Cur)
		if l.cfg.Metrics != "" {
			boxes = append(boxes, spoolfmt.Bad)
		}
	}
	l.scanNew, l.scanCur = false, false
	home, cfg, after := l.home, l.cfg, map[spoolfmt.Box]item{spoolfmt.New: l.from, spoolfmt.Cur: l.fromCur}
	if l.small {
		for _, b := range boxes {
			l.takeScan(l.scan.scan(l.agents, cfg, home.spool, b, after[b], now), now)
		}
		return
	}
	l.scanning = true
	home.users++
	go func() {
		for i, b := range boxes {
			s := l.scan.scan(l.agents, cfg, home.spool, b, after[b], now)
			s.last, s.home = i == len(boxes)-1, home
			l.scans <- s
		}
	}()
}

// shortScan is how many names the loop itself may look at without new mail
// noticing.
const shortScan = 512

func (l *loop) takeScan(s scanned, now time.Time) {
	if s.last {
		defer l.endScan(s.home)
	}
	what := "scan " + s.box.String()
	trouble := errors.Join(s.err, s.unseen)
	l.unread[s.box] = trouble != nil
	switch {
	case trouble == nil:
		l.odd.drop(what)
	case l.odd.once(what):
		l.ev.trouble(what, trouble)
	}
	if s.err != nil {
		return
	}
	l.metrics.scanned(s)
	switch s.box {
	case spoolfmt.New:
		l.names = s.names
		l.small = s.names <= shortScan && len(l.due.items) <= shortScan
		l.fresh, l.partial = s.queue, s.queue.after.name != ""
		if watchLimit > 0 && !l.stopping && l.w.open(l.home.spool.Path(spoolfmt.New), s.names) {
			l.scanNew = true
		}
	case spoolfmt.Cur:
		l.small = l.names <= shortScan && s.names <= 2*shortScan
		l.due = s.queue
	}
	for _, it := range l.missed {
		if it.cur && s.box == spoolfmt.Cur || !it.cur && s.box == spoolfmt.New {
			l.box(it.cur).insert(it)
		}
	}
}

// endScan is the end of a scan beside the deliveries.
func (l *loop) endScan(home *lease) {
	l.scanning = false
	l.leave(home)
	if l.missedMore && !l.stopping {
		l.wantScan()
	}
	l.missed, l.missedMore = nil, false
}

// checkHome opens the spool again when its path names another one. Boxes that
// are missing are not made here: somebody is about to put them back.
func (l *loop) checkHome(now time.Time) {
	if !l.home.spool.Moved() {
		if l.home.moved {
			l.home.moved = false
			l.healSpool()
		}
		return
	}
	if !l.home.moved {
		l.home.moved = true
		l.w.close()
		l.ev.spoolMoved(l.cfg.Dir)
	}
	l.nextScan = now.Add(time.Second)
	for b := spoolfmt.Tmp; b <= spoolfmt.Bad; b++ {
		if st, err := os.Stat(l.home.spool.Path(b)); err != nil || !st.IsDir() {
			return
		}
	}
	sp, err := openSpool(l.cfg)
	if err != nil {
		if l.odd.once("open") {
			l.ev.trouble("spool", err)
		}
		return
	}
	l.odd.drop("open")
	old := l.home
	l.home = newLease(sp)
	old.users++
	l.old[old] = struct{}{}
	l.leave(old)
	l.fresh, l.due, l.busy, l.missed = queue{}, queue{}, waitlist{}, nil
	l.nextSweep = now
	l.healSpool()
}

func (l *loop) healSpool() {
	l.ev.healed("spool")
	l.spoolGate.heal()
}

func (l *loop) reload(cfg Config) {
	old := l.cfg
	l.cfg = &cfg
	l.ev = events{cfg.Log}
	l.w.ev = l.ev
	l.agentGate.heal()
	l.ev.reload(l.cfg)
	if err := old.close(); err != nil {
		l.ev.trouble("agent", fmt.Errorf("close %s: %w", old.Agent.Name(), err))
	}
	l.watchAndScan(time.Now())
}
