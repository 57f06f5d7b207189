package courier

import (
	"container/heap"
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"smap/courier/agent"
)

// A simulation runs the dispatcher, and what the loop concludes of deliveries, with a
// clock of its own: no goroutine, no file, no waiting.
type simulation struct {
	t      *testing.T
	l      *loop
	now    time.Time
	events simEvents
	seq    int
	disk   map[string]*simMessage // in new and cur
	waits  map[string][]time.Duration
	timer  time.Time
	starts int
	scans  int
	behave map[string]func(*simMessage) (time.Duration, *part, verdict)
}

type simMessage struct {
	name    string
	lane    string
	key     string // of its recipient
	client  string
	locked  bool
	cur     bool
	arrived time.Time
	due     time.Time
}

type simEvent struct {
	at   time.Time
	seq  int
	then func()
}

type simEvents []simEvent

func (e simEvents) Len() int { return len(e) }
func (e simEvents) Less(i, j int) bool {
	return e[i].at.Before(e[j].at) || e[i].at.Equal(e[j].at) && e[i].seq < e[j].seq
}
func (e simEvents) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *simEvents) Push(x any)   { *e = append(*e, x.(simEvent)) }
func (e *simEvents) Pop() any {
	old := *e
	x := old[len(old)-1]
	*e = old[:len(old)-1]
	return x
}

// What the parts of a delivery cost that are ours.
const (
	simSort  = 20 * time.Microsecond
	simClaim = 50 * time.Microsecond
	simScan  = 100 * time.Millisecond
)

func newSimulation(t *testing.T, lanes ...string) *simulation {
	t.Helper()
	cfg := Config{Dir: "/spool", Agent: all(agent.Result{}), Log: slog.New(slog.DiscardHandler)}
	for _, name := range lanes {
		cfg.Lanes = append(cfg.Lanes, Lane{Name: name, Agent: all(agent.Result{})})
	}
	cfg, err := cfg.complete()
	if err != nil {
		t.Fatal(err)
	}
	s := &simulation{t: t, now: time.Unix(1_800_000_000, 0), disk: make(map[string]*simMessage), waits: make(map[string][]time.Duration),
		behave: make(map[string]func(*simMessage) (time.Duration, *part, verdict))}
	s.l = &loop{cfg: &cfg, ev: events{cfg.Log}, d: newDispatcher(), chores: newChores(), deliveries: make(map[string]*delivery)}
	s.l.d.configure(&cfg)
	s.after(0, s.rescan)
	return s
}

func (s *simulation) after(d time.Duration, then func()) {
	s.seq++
	heap.Push(&s.events, simEvent{s.now.Add(max(d, 0)), s.seq, then})
}

// rescan is what a visit does, once a minute.
func (s *simulation) rescan() {
	s.l.d.intake.rescan()
	s.after(time.Minute, s.rescan)
}

// scan is the rest of a visit.
func (s *simulation) scan(from, fromCur item) {
	found, due := queue{after: from}, queue{after: fromCur}
	for _, m := range s.disk {
		if m.cur {
			due.add(item{at: m.due.UnixNano(), name: m.name, cur: true})
		} else {
			found.add(item{at: m.arrived.UnixNano(), name: m.name})
		}
	}
	found.seal()
	due.seal()
	in := &s.l.d.intake
	in.take(found, false)
	in.take(due, true)
	in.scanned()
}

// feed commits a message.
func (s *simulation) feed(m *simMessage) {
	m.arrived = s.now
	s.disk[m.name] = m
	s.after(0, func() { s.l.d.offer(item{at: s.now.UnixNano(), name: m.name}) })
}

// run goes on until a time.
func (s *simulation) run(until time.Duration) {
	end := s.now.Add(until)
	for len(s.events) > 0 && !s.events[0].at.After(end) {
		e := heap.Pop(&s.events).(simEvent)
		s.now = e.at
		e.then()
		s.dispatch()
	}
	s.now = end
}

// dispatch is the loop's.
func (s *simulation) dispatch() {
	d := s.l.d
	if in := &d.intake; !in.scanning && (in.wantNew || in.wantCur) {
		s.scans++
		from, fromCur := in.from, in.fromCur
		in.wantNew, in.wantCur, in.scanning = false, false, true
		s.after(simScan, func() { s.scan(from, fromCur) })
	}
	if d.refill() && !d.intake.wanted() {
		d.intake.wantScan()
	}
	if batch := d.toSort(s.now); len(batch) > 0 {
		s.after(time.Duration(len(batch))*simSort, func() {
			d.sorting = false
			for _, it := range batch {
				if m := s.disk[it.name]; m != nil {
					d.sorted(it, []place{{m.lane, agent.Keys{To: m.key, Client: m.client}}})
				}
			}
		})
	}
	for {
		st, ok := d.next(s.now)
		if !ok {
			break
		}
		s.starts++
		s.start(st)
	}
	if at := s.now.Add(d.wake(s.now)); s.timer.Before(s.now) || s.timer.Equal(s.now) || at.Before(s.timer) {
		if !at.After(s.now) {
			at = s.now.Add(time.Microsecond)
		}
		s.timer = at
		s.after(at.Sub(s.now), func() {})
	}
}

// start is a delivery or a look.
func (s *simulation) start(st start) {
	m := s.disk[st.item.name]
	r := result{start: st, item: st.item}
	took := simClaim
	switch {
	case m == nil:
		r.verdict = verdictGone
	case m.locked:
		r.verdict, r.err = verdictBusy, errors.New("locked")
	case st.lane == nil:
		r.verdict = verdictFree
	default:
		var p *part
		took, p, r.verdict = s.behave[m.lane](m)
		m.cur, m.due = true, s.now
		p.lane, p.item = st.lane, st.item
		r.item.cur = true
		r.ended = []*part{p}
		if p.err != nil {
			r.unreached = r.ended
		}
	}
	if st.lane != nil && r.ended == nil {
		r.ended = []*part{{lane: st.lane, item: st.item}}
	}
	s.after(took, func() {
		switch {
		case r.verdict == verdictFinished:
			s.waits[m.lane] = append(s.waits[m.lane], s.now.Sub(m.arrived))
			delete(s.disk, m.name)
		case r.verdict == verdictDeferred:
			r.next = s.now.Add(time.Minute)
			m.due = r.next
		}
		s.l.ended(r, s.now)
	})
}

// good finishes after a time.
func good(took time.Duration) func(*simMessage) (time.Duration, *part, verdict) {
	return func(*simMessage) (time.Duration, *part, verdict) { return took, &part{tried: true}, verdictFinished }
}

// percentile returns the wait that so many of a hundred do not exceed.
func percentile(waits []time.Duration, p int) time.Duration {
	if len(waits) == 0 {
		return 0
	}
	slices.Sort(waits)
	return waits[(len(waits)-1)*p/100]
}
