package courier

import "time"

// An intake has the messages that scans and events told of, and decides in which
// order they are routed: new mail by its arrival, deferred mail by the time of its
// next attempt, the two in turn. It knows nothing of lanes.
type intake struct {
	fresh, due    queue
	last, lastDue item // the last that was taken of each
	turnDue       bool

	partial    bool   // fresh began after others, which may still wait
	missed     []item // came while a scan runs, which may not have seen them
	missedMore bool   // more than are remembered
	scanning   bool

	wantNew, wantCur bool // scans that are wanted
	from, fromCur    item // where they go on
}

// wantScan asks for a scan of both boxes from their beginning.
func (q *intake) wantScan() {
	q.wantNew, q.wantCur = true, true
	q.from, q.fromCur = item{}, item{}
}

// wanted tells whether a scan is wanted or runs.
func (q *intake) wanted() bool { return q.scanning || q.wantNew || q.wantCur }

// add remembers a message for its time.
func (q *intake) add(it item) {
	q.box(it.cur).insert(it)
	if !q.scanning {
		return
	}
	q.missedMore = len(q.missed) >= queueLimit
	if !q.missedMore {
		q.missed = append(q.missed, it)
	}
}

// box is the queue of new or of cur.
func (q *intake) box(cur bool) *queue {
	if cur {
		return &q.due
	}
	return &q.fresh
}

// next takes the next message that is ready. Where a scan left out messages, it asks
// for another one that goes on after the last.
func (q *intake) next(now time.Time) (item, bool) {
	q.turnDue = !q.turnDue
	for range 2 {
		if q.turnDue {
			if it, ok := q.nextDue(now); ok {
				return it, true
			}
		} else if it, ok := q.nextFresh(); ok {
			return it, true
		}
		q.turnDue = !q.turnDue
	}
	return item{}, false
}

func (q *intake) nextFresh() (item, bool) {
	if !q.fresh.empty() {
		q.last = q.fresh.pop()
		return q.last, true
	}
	if q.fresh.more && !q.scanning && !q.wantNew {
		q.wantNew, q.from = true, q.last
	}
	return item{}, false
}

func (q *intake) nextDue(now time.Time) (item, bool) {
	if q.dueAt(now) {
		q.lastDue = q.due.pop()
		return q.lastDue, true
	}
	if q.due.empty() && q.due.more && !q.scanning && !q.wantCur {
		q.wantCur, q.fromCur = true, q.lastDue
	}
	return item{}, false
}

// dueAt tells whether deferred mail is due by that time.
func (q *intake) dueAt(now time.Time) bool {
	return !q.due.empty() && q.due.items[0].at <= now.UnixNano()
}

// idle tells whether nothing is ready and no scan would find more.
func (q *intake) idle(now time.Time) bool {
	return !q.wanted() && q.fresh.empty() && !q.fresh.more && !q.dueAt(now) && !(q.due.empty() && q.due.more)
}

// take puts what a scan found in the place of what was known before it.
func (q *intake) take(found queue, cur bool) {
	*q.box(cur) = found
	if !cur {
		q.partial = found.after.name != ""
	}
	for _, it := range q.missed {
		if it.cur == cur {
			q.box(cur).insert(it)
		}
	}
}

// scanned is the end of a scan that ran beside the loop.
func (q *intake) scanned() {
	q.scanning = false
	if q.missedMore {
		q.wantScan()
	}
	q.missed, q.missedMore = nil, false
}

// forget drops everything: the spool is another one.
func (q *intake) forget() {
	q.fresh, q.due, q.missed = queue{}, queue{}, nil
}
