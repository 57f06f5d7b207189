package courier

import (
	"context"
	"time"

	"smap/spoolfmt"
)

// A loop is the state of Run. Only Run's goroutine uses it; deliveries, scans,
// flushes and sweeps run in goroutines of their own and report to it.
type loop struct {
	c    *Courier
	cfg  *Config
	ev   events
	home *lease
	old  map[*lease]struct{} // spools that were replaced while in use
	w    watcher
	scan *scanner

	fresh, due queue
	last       item   // taken from fresh
	lastDue    item   // taken from due
	partial    bool   // fresh began after others, which may wait still
	missed     []item // came while a scan runs, which may not have seen them
	missedMore bool   // more than are remembered
	busy       waitlist
	inflight   map[string]bool // names that a delivery works on; true: committed again meanwhile
	held       []*heldBack
	running    int
	runningDue int
	agentGate  gate
	spoolGate  gate
	odd        said // messages whose trouble was said
	sum        counts
	metrics    metrics
	digest     digest

	nextScan, nextSweep, nextFlush time.Time
	scanNew, scanCur               bool // wanted
	from, fromCur                  item // where the scans of new/ and cur/ go on
	scanning, sweeping, flushing   bool
	small                          bool // the last scans were short
	names                          int  // in new/ at the last scan
	stopping                       bool
	unread                         [spoolfmt.Bad + 1]bool // boxes that could not be read at the last scan

	reports chan report
	scans   chan scanned
	swept   chan upkeep
	flushed chan upkeep
	wrote   chan error              // metrics
	kill    context.CancelCauseFunc // ends the agents when the grace is over
	agents  context.Context
}

func newLoop(c *Courier) *loop {
	cfg := c.cfg
	ev := events{cfg.Log}
	l := &loop{
		c: c, cfg: &cfg, ev: ev,
		home: newLease(c.spool), old: make(map[*lease]struct{}),
		w: watcher{ev: ev}, scan: newScanner(),
		inflight:  make(map[string]bool),
		agentGate: gate{what: "agent"}, spoolGate: gate{what: "spool"},
		reports: make(chan report, 16), scans: make(chan scanned, 2),
		swept: make(chan upkeep, 1), flushed: make(chan upkeep, 1),
		wrote: make(chan error, 1), metrics: metrics{started: time.Now()},
	}
	l.agents, l.kill = context.WithCancelCause(context.Background())
	return l
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
		if l.cfg.Once && l.drained() {
			if l.sendDigest(now, true) {
				l.wantScan()
				continue
			}
			return l.finish()
		}
		timer.Reset(max(l.wake(now), 0))
		select {
		case <-ctx.Done():
			return l.stop()
		case <-timer.C:
		case e, ok := <-l.w.events():
			l.hint(l.w.read(e, ok))
		case err, ok := <-l.w.errors():
			if h := l.w.readError(err, ok); h == hintBroken && err != nil {
				l.w.broken(err)
				l.wantScan()
			} else {
				l.hint(h, "", spoolfmt.KindOther)
			}
		case r := <-l.reports:
			l.take(r, time.Now())
		case s := <-l.scans:
			l.takeScan(s, time.Now())
		case u := <-l.swept:
			l.sweeping = false
			l.endUpkeep(u, "sweep")
		case u := <-l.flushed:
			l.flushing = false
			l.endUpkeep(u, "flush")
		case err := <-l.wrote:
			l.metricsWritten(err)
		case pong := <-l.c.ping:
			close(pong)
		case <-l.c.rescan:
			l.watchAndScan(time.Now())
		case cfg := <-l.c.reload:
			l.reload(cfg)
		}
	}
}

// watchAndScan is the answer to everything that may have been missed: watch
// first, then look.
func (l *loop) watchAndScan(now time.Time) {
	l.nextScan = now.Add(l.cfg.Wakeup)
	l.checkHome(now)
	if !l.home.moved {
		l.w.open(l.home.spool.Path(spoolfmt.New), l.names)
	}
	l.wantScan()
}

func (l *loop) wantScan() {
	l.scanNew, l.scanCur = true, true
	l.from, l.fromCur = item{}, item{}
}

func (l *loop) hint(h hint, name string, kind spoolfmt.Kind) {
	switch h {
	case hintName:
		if _, working := l.inflight[name]; working {
			l.inflight[name] = true
		} else if !l.busy.soon(name, time.Now()) {
			l.later(item{at: time.Now().UnixNano(), name: name})
		}
	case hintScan:
		l.wantScan()
	case hintMoved:
		l.w.close()
		l.watchAndScan(time.Now())
	case hintBroken:
		l.w.close()
		l.wantScan()
	}
}

const longestSleep = 24 * time.Hour

// wake is how long the loop may sleep. Times of this process are compared as
// such and those in the spool as the clock shows them, never one with the other:
// a clock that is set back would make the loop sleep through its rescans.
func (l *loop) wake(now time.Time) time.Duration {
	wait := longestSleep
	sooner := func(t time.Time) {
		if !t.IsZero() {
			wait = min(wait, t.Sub(now))
		}
	}
	sooner(l.nextScan)
	if !l.flushing {
		sooner(l.nextFlush)
	}
	if !l.sweeping && !l.home.moved {
		sooner(l.nextSweep)
	}
	for _, h := range l.held {
		sooner(h.at)
	}
	if l.cfg.Metrics != "" {
		sooner(l.metrics.next())
	}
	if !l.home.moved {
		sooner(l.digest.due)
	}
	if !l.free() {
		return wait
	}
	open := true
	for _, g := range []*gate{&l.agentGate, &l.spoolGate} {
		if !g.lets(now, l.running) {
			open = false
			if l.running == 0 {
				sooner(g.until)
			}
		}
	}
	if open {
		if look, ok := l.busy.first(now); ok {
			wait = min(wait, look)
		}
		if !l.due.empty() && l.runningDue < l.cfg.maxDeferred() {
			wait = min(wait, time.Duration(l.due.items[0].at-now.UnixNano()))
		}
	}
	return wait
}

// drained tells whether nothing is left that could be done now.
func (l *loop) drained() bool {
	if l.running > 0 || l.scanning || l.scanNew || l.scanCur || l.sweeping || len(l.held) > 0 {
		return false
	}
	if l.agentGate.shut || l.spoolGate.shut {
		return true
	}
	now := time.Now()
	return l.fresh.empty() && !l.fresh.more && !l.partial &&
		(l.due.empty() || l.due.items[0].at > now.UnixNano()) && !l.busy.before(now.Add(5*time.Second))
}
