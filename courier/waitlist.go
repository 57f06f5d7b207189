package courier

import "time"

const (
	// firstLook and lastLook bound the time between two looks at a message that
	// somebody else has locked. Most feeders touch the envelope when they let go,
	// and that event comes first.
	firstLook = time.Millisecond
	lastLook  = 10 * time.Second
	// oddLook is the most between two looks at a message whose files gave an
	// error.
	oddLook = time.Minute
	// maxWaiting bounds the list. What does not fit is found by a scan.
	maxWaiting = 1024
)

// A waitlist holds messages that could not be taken, each with a wait that grows. It
// counts time from its first use and not from 1970: a clock that is set back must not
// delay a look.
type waitlist struct {
	queue queue
	state map[string]*waiting
	epoch time.Time
}

type waiting struct {
	item   item
	wait   time.Duration
	since  time.Time
	looked time.Time // the last look
	logged bool
	free   bool // a look found it free: no more looks, unless it comes back
	alone  bool // it is an envelope without a content: a single run does not wait
}

// grow is twice the last wait of that name, within bounds.
func (w *waitlist) grow(name string, least, most time.Duration) time.Duration {
	if e := w.state[name]; e != nil {
		return min(max(least, 2*e.wait), most)
	}
	return least
}

// put schedules another look. It returns the entry, or nil when the list is
// full.
func (w *waitlist) put(it item, wait time.Duration, now time.Time) *waiting {
	e := w.state[it.name]
	if e == nil {
		if len(w.state) >= maxWaiting {
			return nil
		}
		if w.state == nil {
			w.state, w.epoch = make(map[string]*waiting), now
		}
		e = &waiting{since: now}
		w.state[it.name] = e
	}
	e.item, e.wait, e.looked, e.free = it, wait, now, false
	if !w.queue.insert(item{at: int64(now.Sub(w.epoch) + wait), name: it.name}) {
		delete(w.state, it.name)
		return nil
	}
	return e
}

// since returns when a name came into the list; without it, now.
func (w *waitlist) since(name string, now time.Time) time.Time {
	if e := w.state[name]; e != nil {
		return e.since
	}
	return now
}

// hurry makes a look at everything in the list due, as if it had just come; but not at what
// is not looked at again soon.
func (w *waitlist) hurry(now time.Time) {
	w.queue = queue{}
	for _, e := range w.state {
		if !e.free {
			wait := time.Duration(0)
			if e.wait >= oddLook {
				wait = e.wait
			}
			e.since = now
			w.put(e.item, wait, now)
		}
	}
}

// lasting tells whether everything in the list was still there at a look that long
// after the first, or is not looked at again soon.
func (w *waitlist) lasting(long time.Duration) bool {
	for _, e := range w.state {
		if !e.alone && e.wait < oddLook && e.looked.Sub(e.since) < long {
			return false
		}
	}
	return true
}

// has tells whether the list will look at that name again.
func (w *waitlist) has(name string) bool {
	e := w.state[name]
	return e != nil && !e.free
}

// found notes that a look found a message free. Its wait is kept until it was
// delivered or put elsewhere: one that meets the same trouble again waits longer.
func (w *waitlist) found(name string) {
	if e := w.state[name]; e != nil {
		e.free = true
	}
}

// drop forgets a name: it was taken, or is gone.
func (w *waitlist) drop(name string) { delete(w.state, name) }

// first returns the time until the next look, and false when there is none.
func (w *waitlist) first(now time.Time) (time.Duration, bool) {
	w.trim()
	if w.queue.empty() {
		return 0, false
	}
	return time.Duration(w.queue.items[0].at) - now.Sub(w.epoch), true
}

// trim removes looks whose name was dropped.
func (w *waitlist) trim() {
	for !w.queue.empty() && w.state[w.queue.items[0].name] == nil {
		w.queue.pop()
	}
}

// before tells whether a look is due by that time.
func (w *waitlist) before(at time.Time) bool {
	wait, ok := w.first(at)
	return ok && wait <= 0
}

// next takes the first message whose look is due. It stays in the list, for its
// wait to grow, until it is dropped.
func (w *waitlist) next(now time.Time) (item, bool) {
	if !w.before(now) {
		return item{}, false
	}
	return w.state[w.queue.pop().name].item, true
}
