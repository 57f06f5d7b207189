package courier

import (
	"errors"
	"slices"
	"time"

	"smap/spoolfmt"
)

// place puts a message where it waits after a delivery or a look.
func (d *dispatcher) place(r *result, now time.Time) {
	if r.item.name != r.start.item.name {
		d.looks.drop(r.start.item.name)
	}
	look := func(wait time.Duration) {
		if e := d.looks.put(r.item, wait, now); e != nil {
			e.alone = errors.Is(r.err, spoolfmt.ErrAlone)
		}
	}
	var untried time.Duration // for which it must not be tried
	if !r.next.IsZero() {
		untried = r.next.Sub(now)
	}
	switch r.verdict {
	case verdictBusy:
		if r.wait == 0 {
			r.wait = d.looks.grow(r.item.name, firstLook, lastLook)
		}
		look(r.wait)
		return
	case verdictOdd:
		look(max(d.looks.grow(r.item.name, time.Second, oddLook), untried))
		return
	case verdictSpool:
		look(max(d.looks.grow(r.item.name, firstProbe, oddLook), untried))
		return
	case verdictFree:
		d.intake.add(r.item)
		d.looks.found(r.item.name)
		return
	case verdictLater, verdictDeferred:
		d.intake.add(item{at: r.next.UnixNano(), name: r.item.name, cur: true})
		d.leave(r.item, r.left, true)
		d.waits(r, true, now)
	case verdictWaits:
		d.leave(r.item, r.left, false)
		d.waits(r, false, now)
	}
	d.looks.drop(r.start.item.name)
}

// waits queues a message in the lanes whose agent could not be reached for it.
func (d *dispatcher) waits(r *result, owed bool, now time.Time) {
	for _, p := range r.unreached {
		it := item{at: r.item.at, name: r.item.name, cur: true, keys: p.item.keys}
		if k := d.known[it.name]; k != nil && slices.Contains(k.queued, p.lane) || !slices.Contains(d.lanes, p.lane) {
			continue
		}
		if p.lane.unreached(it, now) {
			d.queued(p.lane, it.name)
			d.owe(p.lane, it.name, owed)
		}
	}
}

// leave queues a message in the lanes that have not had their turn with it.
func (d *dispatcher) leave(it item, places []place, owed bool) {
	for _, p := range places {
		l := d.lane(p.lane)
		if l == nil {
			continue
		}
		d.put(l, it, p.keys)
		d.owe(l, it.name, owed)
	}
}

// owe notes that a lane's recipients are due though the message is not.
func (d *dispatcher) owe(l *lane, name string, owed bool) {
	if k := d.known[name]; owed && k != nil && slices.Contains(k.queued, l) && !slices.Contains(k.owed, l) {
		k.owed = append(k.owed, l)
	}
}
