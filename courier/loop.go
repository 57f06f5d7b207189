package courier

import (
	"context"
	"errors"
	"time"

	"smap/spoolfmt"
)

// A loop is the state of Run. Only Run's goroutine uses it. Whatever may wait for a
// disk, a program or a server runs beside it and hands back what the loop is to do
// then: the loop itself never waits for anything but that.
type loop struct {
	c      *Courier
	cfg    *Config
	ev     events
	d      *dispatcher
	side   *spoolSide
	chores *chores

	inbox      chan func(now time.Time)
	works      chan func() func(now time.Time) // to goroutines that have nothing to do
	out        int                             // works beside the loop that have not come back
	deliveries map[string]*delivery
	once       onceSet // trouble that was logged
	lost       []error // outcomes that could not be written
	stopping   bool
	kill       context.CancelCauseFunc // ends the agents when the grace is over
	agents     context.Context
}

func newLoop(c *Courier) *loop {
	cfg := c.cfg
	ev := events{cfg.Log}
	l := &loop{
		c: c, cfg: &cfg, ev: ev, d: newDispatcher(), side: newSpoolSide(c.spool, ev), chores: newChores(),
		inbox: make(chan func(time.Time), 64), works: make(chan func() func(time.Time)), deliveries: make(map[string]*delivery),
	}
	l.d.configure(l.cfg)
	l.agents, l.kill = context.WithCancelCause(context.Background())
	return l
}

// idleWorker is how long a goroutine waits for more work.
const idleWorker = time.Second

// beside runs work that may wait. What it returns runs in the loop. A goroutine that has
// ended its work takes the next, if there is some soon: the stack of a new one would have
// to grow for each delivery.
func (l *loop) beside(work func() func(now time.Time)) {
	l.out++
	select {
	case l.works <- work:
	default:
		go func() {
			idle := time.NewTimer(idleWorker)
			defer idle.Stop()
			for work != nil {
				then := work()
				work = nil // or it would be kept until the next
				l.inbox <- func(now time.Time) {
					l.out--
					then(now)
				}
				idle.Reset(idleWorker)
				select {
				case work = <-l.works:
				case <-idle.C:
				}
			}
		}()
	}
}

func (l *loop) run(ctx context.Context) error {
	defer l.kill(nil)
	l.ev.start(l.cfg)
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		now := time.Now()
		l.upkeep(now)
		l.dispatch(now)
		if l.cfg.Once && l.drained(now) {
			if l.sendDigest(now, true) {
				continue
			}
			return l.finish()
		}
		timer.Reset(max(l.wake(now), 0))
		select {
		case <-ctx.Done():
			return l.stop()
		case <-timer.C:
		case then := <-l.inbox:
			then(time.Now())
		case e, ok := <-l.side.w.events():
			l.hint(l.side.w.read(e, ok))
		case err, ok := <-l.side.w.errors():
			l.watchError(l.side.w.readError(err, ok), err)
		case pong := <-l.c.ping:
			close(pong)
		case <-l.c.rescan:
			l.rescan()
		case cfg := <-l.c.reload:
			l.reload(cfg)
		}
	}
}

// dispatch routes messages and starts deliveries, while there is something to start
// and a slot for it.
func (l *loop) dispatch(now time.Time) {
	if l.stopping || l.side.home.moved {
		return
	}
	if batch := l.d.toSort(now); len(batch) > 0 {
		l.sort(batch)
	}
	for {
		s, ok := l.d.next(now)
		if !ok {
			break
		}
		l.start(s)
	}
	if l.d.refill() && !l.d.intake.wanted() {
		l.d.intake.wantScan()
	}
}

// sort routes messages beside the loop.
func (l *loop) sort(batch []item) {
	s := l.sorter()
	home := l.side.lease()
	l.beside(func() func(time.Time) {
		found := make([]sorted, len(batch))
		for i, it := range batch {
			found[i] = s.sort(it, false, time.Now())
		}
		return func(time.Time) {
			l.d.sorting = false
			if l.side.home == home {
				for _, f := range found {
					l.d.sorted(f.item, f.places)
				}
			}
			l.side.leave(home)
		}
	})
}

func (l *loop) sorter() *sorter {
	return &sorter{cfg: l.cfg, spool: l.side.home.spool, keys: l.d.keyers, buf: make([]byte, 0, 4096)}
}

// start starts a delivery, or a part of one that runs.
func (l *loop) start(s start) {
	var p *part
	if s.lane != nil {
		p = newPart(s.lane, s.item)
	}
	if s.join {
		l.join(s, p)
		return
	}
	home := l.side.lease()
	d := newDelivery(l.cfg, l.ev, home.spool, s, p)
	d.keyers, d.replaced = l.d.keyers, home.old.Load
	d.tell = func(p *part) { l.inbox <- func(now time.Time) { l.partEnded(p, now) } }
	d.held = func(err error) { l.inbox <- func(now time.Time) { l.trouble(&l.d.spool, s.item.name, err, now) } }
	l.deliveries[s.item.name] = d
	l.beside(func() func(time.Time) {
		r := d.run(l.agents)
		return func(now time.Time) {
			l.side.leave(home)
			l.ended(r, now)
		}
	})
}

// join lets a lane's part join a delivery that runs. The delivery may be writing to the
// disk, so that the loop does not wait for its answer.
func (l *loop) join(s start, p *part) {
	d := l.deliveries[s.item.name]
	l.beside(func() func(time.Time) {
		joined := d != nil && d.join(l.agents, p)
		return func(now time.Time) {
			if !joined { // it was at its end: see what is left
				s.lane.end(s.item)
				l.d.refused(s, now)
			}
		}
	})
}

// partEnded gives back the slot of a part.
func (l *loop) partEnded(p *part, now time.Time) {
	switch {
	case p.err != nil:
		l.trouble(&p.lane.gate, p.item.name, p.err, now)
	case p.tried:
		l.reached(&p.lane.gate, p.item.name)
	}
	if p.err == nil {
		p.lane.waits.drop(p.item.name)
	}
	p.lane.end(p.item)
}

// trouble takes in that a message met trouble at a gate. The log has it once when it
// begins, and once for each message that alone meets it.
func (l *loop) trouble(g *gate, name string, err error, now time.Time) {
	shut := g.trouble(name, err, now)
	if shut && !g.logged || !g.shut && l.once.first(g.what+" "+name) {
		g.logged = true
		l.ev.trouble(g.what, err)
	}
}

// reached takes in that a message got through a gate.
func (l *loop) reached(g *gate, name string) {
	l.once.drop(g.what + " " + name)
	if g.reached() {
		l.ev.healed(g.what)
	}
}

// ended draws the conclusions of a delivery.
func (l *loop) ended(r result, now time.Time) {
	delete(l.deliveries, r.start.item.name)
	for _, p := range r.ended {
		l.partEnded(p, now)
	}
	again := l.d.ended(r.start)
	if l.stopping && r.verdict == verdictLost {
		l.lost = append(l.lost, r.err)
	}
	l.logOdd(r)
	l.place(r, now)
	if again {
		l.d.offer(item{at: now.UnixNano(), name: r.start.item.name})
	}
	l.account(r, now)
}

// logOdd logs what is wrong with a message's files, once.
func (l *loop) logOdd(r result) {
	switch {
	case r.verdict == verdictOdd, r.verdict == verdictGone && r.err != nil:
		if l.once.first(r.item.name) && r.err != nil && !errors.Is(r.err, spoolfmt.ErrGone) {
			l.ev.trouble(r.item.name, r.err)
		}
	case r.verdict != verdictBusy && r.verdict != verdictSpool && r.verdict != verdictFree:
		l.once.drop(r.start.item.name)
	}
}

// place puts a message where it waits from now on.
func (l *loop) place(r result, now time.Time) {
	l.d.place(&r, now)
	switch r.verdict {
	case verdictBusy:
		l.logBusy(r, now)
	case verdictSpool:
		l.trouble(&l.d.spool, r.item.name, r.err, now)
	case verdictFinished, verdictAside, verdictDeferred:
		if r.tight {
			l.d.spool.passed(now)
			return
		}
		l.reached(&l.d.spool, r.start.item.name)
	}
}

// logBusy logs a message that stays locked, once.
func (l *loop) logBusy(r result, now time.Time) {
	e := l.d.looks.state[r.item.name]
	if e == nil || e.logged || errors.Is(r.err, spoolfmt.ErrAlone) {
		return
	}
	if lasts := now.Sub(e.since); lasts > l.cfg.AgentTimeout+time.Minute || !r.item.cur && lasts > time.Minute {
		e.logged = true
		l.ev.busy(r.item.name, lasts)
	}
}

// account adds up what deliveries came to.
func (l *loop) account(r result, now time.Time) {
	m := &l.chores.metrics
	m.add(&r)
	switch {
	case r.feeding != nil && l.once.first("report"):
		l.ev.trouble("report", r.feeding)
	case r.feeding == nil && r.count.fed():
		l.once.drop("report")
	}
	if l.cfg.Once && r.count.fed() {
		// A report is a message, too. The event that tells of it may come too late, or
		// have come while it was locked.
		l.d.intake.wantScan()
		l.d.looks.hurry(now)
	}
	switch {
	case r.verdict == verdictFinished:
		l.chores.wantFlush(now)
	case r.verdict == verdictAside && r.reason != "":
		id, _ := spoolfmt.SplitName(r.item.name)
		l.chores.digest.add(now, id, r.reason)
	}
}

const longestSleep = 24 * time.Hour

// wake is how long the loop may sleep. Times of this process are compared as
// such and those in the spool as the clock shows them, never one with the other:
// a clock that is set back would make the loop sleep through its rescans.
func (l *loop) wake(now time.Time) time.Duration {
	wait := l.chores.wake(l.cfg, l.side.home.moved, now)
	wait = min(wait, l.side.nextScan.Sub(now))
	if !l.side.home.moved {
		wait = min(wait, l.d.wake(now))
	}
	return wait
}

func (l *loop) reload(cfg Config) {
	old := l.cfg
	l.cfg = &cfg
	l.ev = events{cfg.Log}
	l.side.ev, l.side.w.ev = l.ev, l.ev
	l.d.configure(l.cfg)
	l.ev.reload(l.cfg)
	l.beside(func() func(time.Time) {
		err := old.close()
		return func(time.Time) {
			if err != nil {
				l.ev.trouble("agent", err)
			}
		}
	})
	l.rescan()
}
