package courier

import (
	"errors"
	"time"

	"smap/spoolfmt"
)

// free tells whether another delivery may start at all. A message whose outcome
// could not be written takes a delivery's place: no more of them than children.
func (l *loop) free() bool {
	return !l.stopping && l.running+len(l.held) < l.cfg.MaxChildren && !l.home.moved
}

// dispatch starts deliveries while there is something to deliver and somebody
// to do it.
func (l *loop) dispatch(now time.Time) {
	for l.free() && l.agentGate.lets(now, l.running) && l.spoolGate.lets(now, l.running) {
		it, ok := l.next(now)
		if !ok {
			return
		}
		if _, working := l.inflight[it.name]; working {
			l.inflight[it.name] = true
			continue
		}
		l.start(it)
	}
}

// next chooses: what a gate probes with, then looks that are due, then new mail
// in the order of arrival, then deferred mail in the order of its time. Deferred
// mail never gets the last free delivery.
func (l *loop) next(now time.Time) (item, bool) {
	for _, g := range []*gate{&l.agentGate, &l.spoolGate} {
		if it := g.probe; g.shut && it.name != "" {
			g.probe = item{}
			return it, true
		}
	}
	if it, ok := l.busy.next(now); ok {
		return it, true
	}
	for !l.fresh.empty() {
		it := l.fresh.pop()
		l.last = it
		if !l.busy.has(it.name) {
			return it, true
		}
	}
	if !l.scanning && !l.scanNew && (l.fresh.more || l.partial) {
		// Go on after the last one, so that nobody whose messages cannot be
		// taken is in the way of others; then begin again.
		l.scanNew, l.from = true, item{}
		if l.fresh.more {
			l.from = l.last
		}
	}
	for !l.due.empty() && l.runningDue < l.cfg.maxDeferred() && l.due.items[0].at <= now.UnixNano() {
		it := l.due.pop()
		l.lastDue = it
		if !l.busy.has(it.name) {
			return it, true
		}
	}
	if l.due.empty() && l.due.more && !l.scanning && !l.scanCur {
		l.scanCur, l.fromCur = true, l.lastDue // as above; each rescan begins again
	}
	return item{}, false
}

func (l *loop) start(it item) {
	l.inflight[it.name] = false
	l.running++
	if it.cur {
		l.runningDue++
	}
	home := l.home
	home.users++
	d := &delivery{cfg: l.cfg, ev: l.ev, spool: home.spool, item: it}
	go func() {
		r := d.tell(d.run(l.agents))
		r.start, r.home = it, home
		l.reports <- r
	}()
}

// take draws the conclusions of a delivery.
func (l *loop) take(r report, now time.Time) {
	hinted := l.inflight[r.start.name]
	delete(l.inflight, r.start.name)
	l.running--
	if r.start.cur {
		l.runningDue--
	}
	l.leave(r.home)
	if r.tried && l.agentGate.heal() {
		l.ev.healed(l.agentGate.what)
	}
	if hinted {
		// Its feeder has unlocked it, or another message of that name came, as
		// cron's daily.mail may.
		l.busy.drop(r.start.name)
		l.later(item{at: now.UnixNano(), name: r.start.name})
	}
	switch r.verdict {
	case verdictBusy:
		if !hinted {
			l.lookAgain(r, now)
		}
		return
	case verdictOdd:
		if l.odd.once(r.item.name) {
			l.ev.trouble(r.item.name, r.err)
		}
		if r.item.name != r.start.name {
			l.busy.drop(r.start.name)
		}
		l.busy.put(r.item, l.busy.grow(r.item.name, time.Second, oddLook), now)
		return
	}
	l.busy.drop(r.start.name)
	l.odd.drop(r.start.name)
	l.settle(r, now)
}

// settle deals with the verdicts that end a look.
func (l *loop) settle(r report, now time.Time) {
	l.sum.add(r.count)
	l.metrics.changed = true
	switch {
	case r.feeding == nil && r.count.reports != [reportKinds]uint64{}:
		l.odd.drop("report")
	case r.feeding != nil && l.odd.once("report"):
		l.ev.trouble("report", r.feeding)
	}
	if l.cfg.Once && r.count.reports != [reportKinds]uint64{} {
		l.wantScan() // a report is a message, too, and the event that tells of it may come too late
	}
	switch r.verdict {
	case verdictFinished, verdictAside, verdictDeferred:
		if l.spoolGate.heal() {
			l.ev.healed(l.spoolGate.what)
		}
	}
	switch r.verdict {
	case verdictFinished:
		l.sum.finished++
		l.metrics.age(r.age)
		l.wantFlush(now)
	case verdictAside:
		l.sum.aside++
		if r.reason != "" {
			id, _ := spoolfmt.SplitName(r.item.name)
			l.digest.add(now, id, r.reason)
		}
	case verdictDeferred:
		l.sum.deferred++
		l.later(item{at: r.next.UnixNano(), name: r.item.name, cur: true})
	case verdictLater:
		l.later(item{at: r.next.UnixNano(), name: r.item.name, cur: true})
	case verdictAgent:
		l.shut(&l.agentGate, r, now)
	case verdictSpool:
		l.shut(&l.spoolGate, r, now)
	case verdictHeld:
		l.shut(&l.spoolGate, report{err: r.err}, now)
		l.hold(r.held, r.home, now)
	}
}

// shut closes a gate. The message waits, as it is, for the next probe.
func (l *loop) shut(g *gate, r report, now time.Time) {
	was := g.probe
	if g.trip(now, r.item) {
		l.ev.trouble(g.what, r.err)
	}
	for _, it := range []item{was, r.item} {
		if it.name != "" && it != g.probe {
			it.at = now.UnixNano()
			l.later(it)
		}
	}
}

// later remembers a message for its time.
func (l *loop) later(it item) {
	l.box(it.cur).insert(it)
	if !l.scanning {
		return
	}
	if l.missedMore = len(l.missed) >= queueLimit; !l.missedMore {
		l.missed = append(l.missed, it)
	}
}

// box is the queue of new or of cur.
func (l *loop) box(cur bool) *queue {
	if cur {
		return &l.due
	}
	return &l.fresh
}

// lookAgain puts a message on the waitlist, and says once when it stays there.
func (l *loop) lookAgain(r report, now time.Time) {
	if r.item.name != r.start.name {
		l.busy.drop(r.start.name)
	}
	wait := r.wait
	if wait == 0 {
		wait = l.busy.grow(r.item.name, firstLook, lastLook)
	}
	e := l.busy.put(r.item, wait, now)
	if e == nil || e.said || errors.Is(r.err, spoolfmt.ErrAlone) {
		return
	}
	if lasts := now.Sub(e.since); lasts > l.cfg.AgentTimeout+time.Minute || !r.item.cur && lasts > time.Minute {
		e.said = true
		l.ev.busy(r.item.name, lasts)
	}
}
