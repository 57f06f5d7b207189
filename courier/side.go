package courier

import (
	"context"
	"errors"
	"os"
	"sync/atomic"
	"time"

	"smap/spoolfmt"
)

// A lease counts the users of an open spool, so that one that was replaced is closed
// when the last user has left.
type lease struct {
	spool   *spoolfmt.Spool
	sweeper *spoolfmt.Sweeper
	users   int
	old     atomic.Bool // another one is in use now
	moved   bool        // its path names something else now
}

func newLease(sp *spoolfmt.Spool) *lease {
	return &lease{spool: sp, sweeper: sp.NewSweeper()}
}

// A spoolSide watches and scans the spool. It knows nothing of lanes.
type spoolSide struct {
	ev       events
	home     *lease
	w        watcher
	scan     *scanner
	names    int // in new/ at the last scan
	nextScan time.Time
	lastLook time.Time
	unread   [spoolfmt.Bad + 1]bool // boxes that could not be read at the last scan
}

func newSpoolSide(sp *spoolfmt.Spool, ev events) *spoolSide {
	return &spoolSide{ev: ev, home: newLease(sp), w: watcher{ev: ev}, scan: newScanner()}
}

// lease returns the spool, for use beside the loop until leave.
func (s *spoolSide) lease() *lease {
	s.home.users++
	return s.home
}

func (s *spoolSide) leave(h *lease) {
	h.users--
	if h.old.Load() && h.users == 0 {
		if err := h.spool.Close(); err != nil {
			s.ev.trouble("spool", err)
		}
	}
}

// replace puts another spool into use.
func (s *spoolSide) replace(sp *spoolfmt.Spool) {
	old := s.home
	s.home = newLease(sp)
	old.users++
	old.old.Store(true)
	s.leave(old)
}

// rescan is the answer to everything that may have been missed: watch first, then
// look.
func (l *loop) rescan() {
	l.side.nextScan = time.Now().Add(l.cfg.Wakeup)
	l.d.intake.rescan()
}

// hintedScan is the least time between two scans that hints ask for: any feeder can
// send them.
const hintedScan = time.Second

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

func (l *loop) hint(h hint, name string) {
	switch h {
	case hintName:
		l.d.offer(item{at: time.Now().UnixNano(), name: name})
	case hintScan:
		l.side.nextScan = earlier(l.side.nextScan, l.side.lastLook.Add(hintedScan))
	case hintMoved:
		l.side.w.close()
		l.rescan()
	case hintBroken:
		l.side.w.close()
		l.d.intake.wantScan()
	}
}

func (l *loop) watchError(h hint, err error) {
	if h == hintBroken && err != nil {
		l.side.w.broken(err)
	}
	l.hint(h, "")
}

// A visit is what one look at the spool came to.
type visit struct {
	home  *lease
	moved bool
	other *spoolfmt.Spool // the spool that is in the place of one that moved
	err   error           // why that could not be opened
}

// look visits the spool beside the loop: is it still there, and what is in the boxes
// that are wanted? The loop hears of each box as soon as it was read: new mail does not
// wait until a large backlog in cur was looked at.
func (l *loop) look(now time.Time) {
	in, side := &l.d.intake, l.side
	if in.scanning || !in.wantNew && !in.wantCur {
		return
	}
	if !side.home.moved {
		side.w.open(side.home.spool.Path(spoolfmt.New), side.names)
	}
	if watchLimit > 0 && side.w.fs == nil || side.home.moved {
		side.nextScan = now.Add(min(l.cfg.Wakeup, pollEvery))
	}
	var boxes []spoolfmt.Box
	if in.wantNew {
		boxes = append(boxes, spoolfmt.New)
	}
	if in.wantCur {
		boxes = append(boxes, spoolfmt.Cur)
		if l.cfg.Metrics != "" {
			boxes = append(boxes, spoolfmt.Bad)
		}
	}
	side.lastLook = now
	after := map[spoolfmt.Box]item{spoolfmt.New: in.from, spoolfmt.Cur: in.fromCur}
	in.wantNew, in.wantCur, in.scanning = false, false, true
	home, cfg := side.lease(), l.cfg
	found := func(s scanned) { l.inbox <- func(now time.Time) { l.takeScan(s, now) } }
	l.beside(func() func(time.Time) {
		v := side.scan.visit(l.agents, cfg, home, boxes, after, found)
		return func(now time.Time) { l.visited(v, now) }
	})
}

// visit is the part of look that may wait for the disk.
func (s *scanner) visit(ctx context.Context, cfg *Config, home *lease, boxes []spoolfmt.Box, after map[spoolfmt.Box]item, found func(scanned)) visit {
	v := visit{home: home, moved: home.spool.Moved()}
	if !v.moved {
		for _, b := range boxes {
			found(s.scan(ctx, cfg, home.spool, b, after[b], time.Now()))
		}
		return v
	}
	// Boxes that are missing are not made here: somebody is about to put them back.
	for b := spoolfmt.Tmp; b <= spoolfmt.Bad; b++ {
		if st, err := os.Stat(home.spool.Path(b)); err != nil || !st.IsDir() {
			return v
		}
	}
	v.other, v.err = openSpool(cfg)
	return v
}

// visited is the end of a visit.
func (l *loop) visited(v visit, now time.Time) {
	in, side := &l.d.intake, l.side
	side.leave(v.home)
	in.scanned()
	switch {
	case !v.moved && side.home.moved:
		side.home.moved = false
		l.backHome()
	case v.moved && !side.home.moved:
		side.home.moved = true
		side.w.close()
		l.ev.spoolMoved(l.cfg.Dir)
		side.nextScan = now.Add(min(l.cfg.Wakeup, pollEvery))
	}
	if v.err != nil && l.once.first("open") {
		l.ev.trouble("spool", v.err)
	}
	if v.other != nil {
		l.once.drop("open")
		side.replace(v.other)
		in.forget()
		l.d.clear()
		l.d.looks = waitlist{}
		l.chores.nextSweep = now
		l.backHome()
	}
	if watchLimit > 0 && !v.moved && !l.stopping && side.w.open(side.home.spool.Path(spoolfmt.New), side.names) {
		in.wantNew = true
	}
}

// backHome is the end of a time without a spool.
func (l *loop) backHome() {
	l.ev.healed("spool")
	l.d.spool.reached()
	l.rescan()
}

func (l *loop) takeScan(s scanned, now time.Time) {
	what := "scan " + s.box.String()
	trouble := errors.Join(s.err, s.unseen)
	l.side.unread[s.box] = trouble != nil
	switch {
	case trouble == nil:
		l.once.drop(what)
	case l.once.first(what):
		l.ev.trouble(what, trouble)
	}
	if s.err != nil {
		return
	}
	l.chores.metrics.scanned(s)
	switch s.box {
	case spoolfmt.New:
		l.side.names = s.names
		l.d.intake.take(s.queue, false)
	case spoolfmt.Cur:
		l.d.intake.take(s.queue, true)
	}
}
