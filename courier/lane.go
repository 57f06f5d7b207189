package courier

import (
	"slices"
	"time"

	"smap/courier/agent"
)

// laneLimit bounds the messages that one lane keeps in memory. The others stay on
// disk, and a scan finds them when there is room.
const laneLimit = 8192

// keyLimit bounds those that are blocked by one key. With a free slot, two keys at most
// have their share: they leave room for the others.
const keyLimit = laneLimit * 3 / 8

// A lane is an agent with its own queue, slots and gate. Nothing in it depends on
// another lane. Only the loop uses it.
//
// A message waits in ready, new mail apart from deferred mail; in blocked, while too
// many deliveries have its key; or in waits, after its agent could not be reached.
type lane struct {
	name  string // empty for the lane of everything that no route matches
	agent agent.Agent
	slots int // deliveries at a time; 0 pauses the lane
	batch int

	ready   [2]queue // new mail, deferred mail
	turn    int      // whose turn it is
	blocked map[string]*blockedQueue
	waits   waitlist
	size    int  // messages in ready, blocked and waits
	stuck   int  // of those, in blocked
	more    bool // messages were turned away
	room    bool // a key that turned messages away has room again

	running  int
	deferred int            // of those that run
	keys     map[string]int // deliveries that run, by key; "" is not known, and counts as any
	gate     gate
}

// A blockedQueue has the messages that one key keeps waiting.
type blockedQueue struct {
	kinds [2]queue // new mail, deferred mail
	more  bool     // messages were turned away
}

func (q *blockedQueue) size() int { return len(q.kinds[0].items) + len(q.kinds[1].items) }

func newLane(name string) *lane {
	what := "agent"
	if name != "" {
		what = "lane " + name
	}
	return &lane{name: name, blocked: make(map[string]*blockedQueue), keys: make(map[string]int), gate: gate{what: what}}
}

// title is the lane's name in metrics.
func (l *lane) title() string {
	if l.name == "" {
		return defaultLane
	}
	return l.name
}

// share is how many of a lane's slots one kind of mail may have: deferred mail, or
// the mail for one key. A slot is left for all others.
func (l *lane) share() int {
	if l.slots <= 1 {
		return l.slots
	}
	return l.slots - max(1, l.slots/4)
}

// put takes a message in. False means that there is no room for it: the lane is full, or
// half full of deferred mail, or one of its keys has its limit of messages here.
func (l *lane) put(it item) bool {
	keys := it.hangs()
	for _, key := range [...]string{keys.Client, keys.To} {
		if q := l.blocked[key]; q != nil && q.size() >= keyLimit {
			q.more = true
			return false
		}
	}
	if l.size >= laneLimit || it.cur && len(l.ready[1].items) >= laneLimit/2 {
		l.more = true
		return false
	}
	l.size++
	l.ready[kind(it)].insert(it)
	return true
}

// refill tells whether there is room again for messages that were turned away. Those that
// are blocked may stay for long; but a scan for a few messages costs too much.
func (l *lane) refill() bool {
	room := l.size-l.stuck < laneLimit/4 && l.size <= laneLimit*7/8
	if !l.room && !(l.more && room) {
		return false
	}
	l.more, l.room = false, false
	return true
}

func kind(it item) int {
	if it.cur {
		return 1
	}
	return 0
}

// hungry tells whether the lane should be given new or deferred mail, so that none of its
// slots stays free while messages are routed. Deferred mail that may not start must not
// keep new mail out.
func (l *lane) hungry() (fresh, due bool) {
	fresh = l.slots > 0 && len(l.ready[0].items) < sortBatch
	return fresh, l.slots > 0 && l.deferred < l.share() && len(l.ready[1].items) < sortBatch
}

// free tells whether another delivery may start.
func (l *lane) free(now time.Time) bool {
	return l.running < l.slots && l.gate.lets(now)
}

// next takes the message that is to start now. New and deferred mail take turns, so
// that neither waits for the other to end; deferred mail never gets the last slot.
func (l *lane) next(now time.Time) (item, bool) {
	for {
		it, ok := l.waits.next(now)
		if !ok {
			break
		}
		it.at = now.UnixNano() // behind the others: the next probe is another message
		l.ready[kind(it)].insert(it)
	}
	if !l.free(now) {
		return item{}, false
	}
	for range 2 {
		k := l.turn
		l.turn = 1 - l.turn
		if k == 1 && l.deferred >= l.share() {
			continue
		}
		for !l.ready[k].empty() {
			it := l.ready[k].pop()
			keys := it.hangs()
			switch {
			case l.taken(keys.Client):
				l.block(it, keys.Client, keys.To)
			case l.taken(keys.To):
				l.block(it, keys.To, keys.Client)
			default:
				l.begin(it)
				return it, true
			}
		}
	}
	return item{}, false
}

// taken tells whether the deliveries of a key have its share of the slots.
func (l *lane) taken(key string) bool {
	return key != "" && l.keys[key]+l.keys[""] >= l.share()
}

func (l *lane) begin(it item) {
	l.size--
	l.running++
	if it.cur {
		l.deferred++
	}
	keys := it.hangs()
	l.keys[keys.To]++
	if keys.Client != "" {
		l.keys[keys.Client]++
	}
	l.gate.start(it.name)
}

// block keeps a message until a delivery of a key has ended. If its other key is free,
// another message of that takes part instead.
func (l *lane) block(it item, key, other string) {
	q := l.blocked[key]
	if q == nil {
		q = &blockedQueue{}
		l.blocked[key] = q
	}
	q.kinds[kind(it)].insert(it)
	l.stuck++
	if !l.taken(other) {
		l.unblock(other)
	}
}

// end gives the slot of a message back.
func (l *lane) end(it item) {
	l.running--
	if it.cur {
		l.deferred--
	}
	l.gate.end(it.name)
	keys := it.hangs()
	l.endKey(keys.To)
	if keys.Client != "" {
		l.endKey(keys.Client)
	}
}

// endKey takes in that a delivery of a key has ended. One whose key was not known kept
// all of them waiting.
func (l *lane) endKey(key string) {
	l.keys[key]--
	if l.keys[key] == 0 {
		delete(l.keys, key)
	}
	if key != "" {
		l.unblock(key)
		return
	}
	for key := range l.blocked {
		l.unblock(key)
	}
}

// unblock lets one message of a key take part again, and one of each kind: new mail does
// not wait for deferred mail that has its share.
func (l *lane) unblock(key string) {
	q := l.blocked[key]
	if q == nil {
		return
	}
	for kind := range q.kinds {
		if !q.kinds[kind].empty() {
			l.ready[kind].insert(q.kinds[kind].pop())
			l.stuck--
		}
	}
	if q.more && q.size() < keyLimit/4 {
		q.more, l.room = false, true
	}
	if q.size() == 0 {
		delete(l.blocked, key)
	}
}

// unreached keeps a message whose agent could not be reached, for longer each time.
// False means that there is no room: a scan will find it.
func (l *lane) unreached(it item, now time.Time) bool {
	wait := l.waits.grow(it.name, firstProbe, lastProbe)
	if l.size >= laneLimit || l.waits.put(it, wait, now) == nil {
		l.more = true
		return false
	}
	l.size++
	return true
}

// wake returns when the lane has something to do that no event tells of; zero is
// never.
func (l *lane) wake(now time.Time) time.Time {
	if l.running >= l.slots {
		return time.Time{}
	}
	if l.gate.shut && l.size > 0 {
		if at := l.gate.wake(); at.After(now) || at.IsZero() {
			return at
		}
	}
	if wait, ok := l.waits.first(now); ok {
		return now.Add(max(wait, 0))
	}
	return time.Time{}
}

// clear forgets the messages that wait: they are routed again, or gone with their
// spool.
func (l *lane) clear() {
	l.ready, l.waits = [2]queue{}, waitlist{}
	l.size, l.stuck, l.more, l.room = 0, 0, false, false
	clear(l.blocked)
}

// each calls f for every message that waits.
func (l *lane) each(f func(item)) {
	for _, q := range l.ready {
		for _, it := range q.items {
			f(it)
		}
	}
	for _, q := range l.blocked {
		for _, it := range slices.Concat(q.kinds[0].items, q.kinds[1].items) {
			f(it)
		}
	}
	for _, it := range l.waits.queue.items {
		f(it)
	}
}
