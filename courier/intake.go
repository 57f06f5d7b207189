package courier

import "time"

// An intake has the messages that scans and events told of, and decides in which
// order they are routed. Three sources take turns: what events tell of, new mail that
// a scan found, by its arrival, and deferred mail, by the time of its next attempt.
// So nothing waits for a backlog of another kind. It knows nothing of lanes.
type intake struct {
	events, fresh, due queue
	last, lastDue      item // the last that was taken of fresh and due
	turn               int

	missed     []item // deferred while a scan runs, which may not have seen them
	missedMore bool   // more than are remembered
	scanning   bool

	wantNew, wantCur bool // scans that are wanted
	from, fromCur    item // where they go on

	useful        bool // a lane took one of what the last scans found
	goOn, goOnCur item // where a rescan goes on, each second time
	fromStart     bool // the last rescan began at the beginning
}

// rescan asks for the scan of a timer. If a scan was cut short, because no lane took
// what it found, each second rescan goes on where it ended: so all of a backlog is
// seen, and a backlog that nobody takes costs little.
func (q *intake) rescan() {
	q.wantScan()
	q.fromStart = !q.fromStart
	if !q.fromStart {
		q.from, q.fromCur = q.goOn, q.goOnCur
		q.goOn, q.goOnCur = item{}, item{}
	}
}

// wantScan asks for a scan of both boxes from their beginning.
func (q *intake) wantScan() {
	q.wantNew, q.wantCur = true, true
	q.from, q.fromCur = item{}, item{}
}

// wanted tells whether a scan is wanted or runs.
func (q *intake) wanted() bool { return q.scanning || q.wantNew || q.wantCur }

// add remembers a message: new mail that an event told of, or deferred mail.
func (q *intake) add(it item) {
	if !it.cur {
		q.events.insert(it)
		return
	}
	q.due.insert(it)
	if !q.scanning {
		return
	}
	q.missedMore = len(q.missed) >= queueLimit
	if !q.missedMore {
		q.missed = append(q.missed, it)
	}
}

// next takes the next message that is ready, of the kinds that are asked for. Where a
// scan left out messages, it asks for another one that goes on after the last.
func (q *intake) next(now time.Time, fresh, due bool) (item, bool) {
	for range 3 {
		q.turn = (q.turn + 1) % 3
		var it item
		var ok bool
		switch {
		case q.turn == 0 && fresh:
			it, ok = q.nextEvent()
		case q.turn == 1 && fresh:
			it, ok = q.nextFresh()
		case q.turn == 2 && due:
			it, ok = q.nextDue(now)
		}
		if ok {
			return it, true
		}
	}
	return item{}, false
}

func (q *intake) nextEvent() (item, bool) {
	if !q.events.empty() {
		return q.events.pop(), true
	}
	if q.events.more { // a scan finds those that there was no room for
		q.events = queue{}
		q.wantNew, q.from = true, item{}
	}
	return item{}, false
}

func (q *intake) nextFresh() (item, bool) {
	if !q.fresh.empty() {
		q.last = q.fresh.pop()
		return q.last, true
	}
	if q.fresh.more && !q.scanning && !q.wantNew {
		q.fresh.more = q.useful
		if q.useful {
			q.wantNew, q.from, q.useful = true, q.last, false
		} else {
			q.goOn = later(q.goOn, q.last)
		}
	}
	return item{}, false
}

func (q *intake) nextDue(now time.Time) (item, bool) {
	if q.dueAt(now) {
		q.lastDue = q.due.pop()
		return q.lastDue, true
	}
	if q.due.empty() && q.due.more && !q.scanning && !q.wantCur {
		q.due.more = q.useful
		if q.useful {
			q.wantCur, q.fromCur, q.useful = true, q.lastDue, false
		} else {
			q.goOnCur = later(q.goOnCur, q.lastDue)
		}
	}
	return item{}, false
}

// later returns the second of two items: a rescan from the beginning does not take back how
// far the others came.
func later(a, b item) item {
	if compareItems(a, b) > 0 {
		return a
	}
	return b
}

// dueAt tells whether deferred mail is due by that time.
func (q *intake) dueAt(now time.Time) bool {
	return !q.due.empty() && q.due.items[0].at <= now.UnixNano()
}

// idle tells whether nothing is ready and no scan would find more.
func (q *intake) idle(now time.Time) bool {
	return !q.wanted() && q.events.empty() && !q.events.more && q.fresh.empty() && !q.fresh.more &&
		!q.dueAt(now) && !(q.due.empty() && q.due.more)
}

// take puts what a scan found in the place of what an earlier one found.
func (q *intake) take(found queue, cur bool) {
	if !cur {
		q.fresh = found
		return
	}
	q.due = found
	for _, it := range q.missed {
		q.due.insert(it)
	}
}

// scanned is the end of a scan.
func (q *intake) scanned() {
	q.scanning = false
	if q.missedMore {
		q.wantScan()
	}
	q.missed, q.missedMore = nil, false
}

// forget drops everything: the spool is another one.
func (q *intake) forget() {
	q.events, q.fresh, q.due, q.missed = queue{}, queue{}, queue{}, nil
}
