package courier

import "time"

// nextLook returns a message to look at that is due. One slot is for all of them:
// however many messages are locked, they cost other mail nothing.
func (d *dispatcher) nextLook(now time.Time) (start, bool) {
	for !d.looking && len(d.aged) > 0 {
		s := d.aged[0]
		d.aged = d.aged[1:]
		if k := d.known[s.item.name]; k != nil && !k.busy {
			return d.look(s), true
		}
	}
	for !d.looking {
		it, ok := d.looks.next(now)
		if !ok {
			break
		}
		if d.known[it.name] == nil {
			return d.look(start{item: it}), true
		}
		d.looks.drop(it.name)
	}
	return start{}, false
}

func (d *dispatcher) look(s start) start {
	d.looking = true
	d.know(s.item.name).busy = true
	d.spool.start(s.item.name)
	return s
}

// toAge returns some of the messages that wait for a lane whose gate is shut; more
// calls return the others. False means that these are the last.
func (d *dispatcher) toAge(most int) ([]start, bool) {
	if len(d.aging) == 0 {
		for _, l := range d.lanes {
			if l.gate.shut {
				l.each(func(it item) {
					d.aging = append(d.aging, start{item: it, aging: l, since: l.gate.since, why: l.gate.why})
				})
			}
		}
	}
	n := min(most, len(d.aging))
	batch := d.aging[:n]
	d.aging = d.aging[n:]
	return batch, len(d.aging) > 0
}
