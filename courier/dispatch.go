package courier

import (
	"slices"
	"time"

	"smap/courier/agent"
)

// sortBatch is how many messages are routed at once.
const sortBatch = 32

// A dispatcher knows of every message in memory where it waits, and says what is to
// be done next: route messages, start a delivery for a lane, or look at a message
// that was locked or odd. It does nothing itself and never waits, so a test can run
// it with a clock of its own. Only the loop uses it.
type dispatcher struct {
	intake  intake
	lanes   []*lane
	looks   waitlist // messages that were locked, or whose files gave an error
	looking bool     // the one slot for looks is in use
	sorting bool
	known   map[string]*known
	spool   gate // shut while the spool cannot be written
	turn    int  // the lane that is asked first
	keyers  keyers

	aged  []start // messages whose age is a reason to act
	aging []start // messages whose age is to be looked at
}

// keyers are what makes the keys of messages, by lane.
type keyers map[string]func(to, client string) agent.Keys

// known is what is known of a message that waits in a lane or is worked on.
type known struct {
	queued []*lane // that have it in a queue
	busy   bool    // a delivery or a look works on it
	again  bool    // it was committed again, or unlocked, meanwhile
	owed   []*lane // whose recipients are due though others of the message are not
	late   []start // parts that are owed, and that the delivery which runs did not take
}

func newDispatcher() *dispatcher {
	return &dispatcher{known: make(map[string]*known), spool: gate{what: "spool"}}
}

// lane returns the lane of a name, or nil.
func (d *dispatcher) lane(name string) *lane {
	for _, l := range d.lanes {
		if l.name == name {
			return l
		}
	}
	return nil
}

// offer takes in a message that an event told of: it was committed, or its feeder
// has let go of it.
func (d *dispatcher) offer(it item) {
	if k := d.known[it.name]; k != nil {
		k.again = k.again || k.busy
		return // else it waits in a lane already
	}
	d.looks.drop(it.name)
	d.intake.add(it)
}

// toSort returns messages that should be routed now, so that no lane that could
// start a delivery stays idle.
func (d *dispatcher) toSort(now time.Time) []item {
	fresh, due := d.hungry()
	if d.sorting || !fresh && !due {
		return nil
	}
	var batch []item
	for len(batch) < sortBatch {
		it, ok := d.intake.next(now, fresh, due)
		if !ok {
			break
		}
		switch k := d.known[it.name]; {
		case k != nil:
			k.again = k.again || k.busy && it.cur // an operator may have made it due just now
		case !d.looks.has(it.name):
			batch = append(batch, it)
		}
	}
	if l, ok := d.only(len(batch)); ok {
		for _, it := range batch {
			d.put(l, it, agent.Keys{})
		}
		return nil
	}
	d.sorting = len(batch) > 0
	return batch
}

// only returns the lane if there is one for all mail, and it does not matter for whom
// these messages are: then nothing has to be routed. A lone message need not wait for
// that either.
func (d *dispatcher) only(messages int) (*lane, bool) {
	if len(d.lanes) != 1 {
		return nil, false
	}
	l := d.lanes[0]
	_, keyed := l.agent.(agent.Keyer)
	return l, !keyed || messages == 1 && l.running == 0 && l.size == 0 && l.share() > 1
}

// hungry tells whether a lane should be given new or deferred mail.
func (d *dispatcher) hungry() (fresh, due bool) {
	for _, l := range d.lanes {
		f, u := l.hungry()
		fresh, due = fresh || f, due || u
	}
	return fresh, due
}

// A place is a lane that a message has recipients for, and the keys of the first of
// them.
type place struct {
	lane string
	keys agent.Keys
}

// sorted takes the lanes of a message in.
func (d *dispatcher) sorted(it item, places []place) {
	if k := d.known[it.name]; k != nil && k.busy {
		k.again = true
		return
	}
	for _, p := range places {
		if l := d.lane(p.lane); l != nil {
			d.put(l, it, p.keys)
		}
	}
}

// put queues a message in a lane, once.
func (d *dispatcher) put(l *lane, it item, keys agent.Keys) {
	k := d.known[it.name]
	if k != nil && slices.Contains(k.queued, l) {
		return
	}
	it.keys = nil
	if keys != (agent.Keys{}) {
		it.keys = &keys
	}
	if !l.put(it) {
		return
	}
	d.intake.useful = true
	d.queued(l, it.name)
}

func (d *dispatcher) queued(l *lane, name string) {
	k := d.know(name)
	k.queued = append(k.queued, l)
}

func (d *dispatcher) know(name string) *known {
	k := d.known[name]
	if k == nil {
		k = &known{}
		d.known[name] = k
	}
	return k
}

// forgetIfDone forgets a message that neither waits nor is worked on.
func (d *dispatcher) forgetIfDone(name string) {
	if k := d.known[name]; k != nil && !k.busy && len(k.queued) == 0 {
		delete(d.known, name)
	}
}

// A start is a delivery, or a part of one, that begins.
type start struct {
	lane *lane // nil: a look
	item item
	join bool // the message is claimed already: its delivery goes on with this lane
	owed bool // the lane's recipients are due even if the message is not

	aging *lane     // a look because of the message's age: this lane's agent cannot be reached
	since time.Time // since when the agent cannot be reached
	why   error     // and why
}

// next returns what is to start now. The lanes take turns.
func (d *dispatcher) next(now time.Time) (start, bool) {
	if !d.spool.lets(now) {
		return start{}, false
	}
	for range d.lanes {
		d.turn = (d.turn + 1) % len(d.lanes)
		l := d.lanes[d.turn]
		it, ok := l.next(now)
		if !ok {
			continue
		}
		k := d.know(it.name)
		s := start{lane: l, item: it, join: k.busy, owed: slices.Contains(k.owed, l), since: l.waits.since(it.name, now)}
		k.queued, k.owed = without(k.queued, l), without(k.owed, l)
		k.busy = true
		d.spool.start(it.name)
		return s, true
	}
	return d.nextLook(now)
}

// ended is the end of all work on a message. It returns true when the message
// should be offered again at once.
func (d *dispatcher) ended(s start) bool {
	if s.lane == nil {
		d.looking = false
	}
	d.spool.end(s.item.name)
	k := d.know(s.item.name)
	again, late := k.again, k.late
	k.busy, k.again, k.late = false, false, nil
	for _, s := range late {
		d.putBack(s)
	}
	d.forgetIfDone(s.item.name)
	return again
}

// refused takes a part back that could not join the delivery of its message. One that
// is owed waits in its lane again as soon as that delivery has ended: offered without
// its mark, it would wait for the message's next attempt.
func (d *dispatcher) refused(s start, now time.Time) {
	k := d.known[s.item.name]
	switch {
	case !s.owed:
		d.offer(item{at: now.UnixNano(), name: s.item.name})
	case k != nil && k.busy:
		k.late = append(k.late, s)
	default:
		d.putBack(s)
	}
}

func (d *dispatcher) putBack(s start) {
	if slices.Contains(d.lanes, s.lane) {
		d.put(s.lane, s.item, s.item.hangs())
		d.owe(s.lane, s.item.name, true)
	}
}

// clear forgets all that waits; what is worked on goes on.
func (d *dispatcher) clear() {
	for _, l := range d.lanes {
		l.clear()
	}
	d.aged, d.aging = nil, nil
	for name, k := range d.known {
		k.queued, k.owed = nil, nil
		d.forgetIfDone(name)
	}
}

// refill tells whether a lane that turned messages away has room again.
func (d *dispatcher) refill() bool {
	for _, l := range d.lanes {
		if l.refill() {
			return true
		}
	}
	return false
}

// running is how many deliveries run, in all lanes.
func (d *dispatcher) running() int {
	n := 0
	for _, l := range d.lanes {
		n += l.running
	}
	return n
}

// wake returns how long nothing has to be done that no event tells of.
func (d *dispatcher) wake(now time.Time) time.Duration {
	wait := longestSleep
	sooner := func(t time.Time) {
		if !t.IsZero() {
			wait = min(wait, t.Sub(now))
		}
	}
	if !d.spool.lets(now) {
		sooner(d.spool.wake())
		return wait
	}
	for _, l := range d.lanes {
		sooner(l.wake(now))
	}
	if look, ok := d.looks.first(now); ok && !d.looking {
		wait = min(wait, look)
	}
	if _, due := d.hungry(); due && !d.sorting && !d.intake.due.empty() {
		wait = min(wait, time.Duration(d.intake.due.items[0].at-now.UnixNano()))
	}
	return wait
}

func without(list []*lane, l *lane) []*lane {
	return slices.DeleteFunc(list, func(x *lane) bool { return x == l })
}
