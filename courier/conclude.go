package courier

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt/envelope"
)

// conclude decides by the envelope's state what becomes of the message, and writes it
// down.
func (d *delivery) conclude(ctx context.Context) result {
	if err := d.reportSuccess(); err != nil {
		d.feeding = err // the delivery itself is done
	}
	return d.keep(ctx, d.decide)
}

// decide may be called again after its decision could not be written.
func (d *delivery) decide() result {
	if err := d.noteAgain(); err != nil {
		return d.unwritten(err)
	}
	pending := d.env.Pending()
	attempted := d.attempted(pending)
	switch {
	case d.broken != nil && !d.dirty && !attempted:
		return d.unwritten(d.broken)
	case len(pending) == 0 && d.failures() > 0:
		return d.fail("", d.failureReason(), false)
	case len(pending) == 0:
		return d.finish()
	case d.expired(attempted):
		now := time.Now()
		attempts := d.attempts()
		d.ev.expired(d.claim.ID(), attempts, now.Sub(d.arrived(now)))
		return d.fail("", fmt.Sprintf("not delivered to %d of %d recipients in %d attempts since %s: %s",
			len(pending), len(d.env.Recipients()), attempts, envelope.FormatTime(d.arrived(now)), d.lastError()), true)
	case attempted:
		return d.postpone(len(pending))
	}
	return d.wait(pending)
}

// attempted tells whether the agent was called for one of these recipients.
func (d *delivery) attempted(pending []envelope.Path) bool {
	for _, p := range pending {
		if _, ok := d.replies[p.Address]; ok {
			return true
		}
	}
	return false
}

func (d *delivery) failures() int {
	n := 0
	for _, r := range d.env.Recipients() {
		if r.Outcome != nil && r.Outcome.Status == envelope.StatusFailed {
			n++
		}
	}
	return n
}

// attempts returns how many attempts were made, this one included where there was
// one, and notes it in the envelope.
func (d *delivery) attempts() int {
	n, err := strconv.Atoi(d.env.Get("Attempts"))
	if err != nil {
		n = 0 // no such field
	}
	return n
}

// expired tells whether the message was tried for long enough. Age alone counts, also
// where no agent could be reached. The clock may have been wrong when the message
// came, or is now: so an old message gets some attempts, or some time, before that.
func (d *delivery) expired(attempted bool) bool {
	now := time.Now()
	attempts := d.attempts()
	if attempted {
		if !d.counted {
			attempts++
		}
		_, again := d.cfg.Schedule.Next(d.arrived(now), now, attempts)
		return !again
	}
	if now.Sub(d.arrived(now)) < d.cfg.Schedule.maxAge() || d.start.aging == nil && len(d.left()) > 0 {
		return false
	}
	return attempts >= leastAttempts || now.Sub(d.start.since) >= min(leastTime, d.cfg.Schedule.maxAge())
}

// leastTime is how long an old message is tried whose agent cannot be reached.
const leastTime = 15 * time.Minute

// lastError is why recipients still wait.
func (d *delivery) lastError() string {
	if d.last == "" {
		return "not delivered"
	}
	return d.last
}

// finish ends a message whose recipients all have an outcome.
func (d *delivery) finish() result {
	if err := d.claim.Finish(); err != nil {
		return d.unwritten(err)
	}
	d.ev.finished(d.claim.ID(), d.env.Sender().Address, d.env.Size(), len(d.env.Recipients()), time.Since(d.begin))
	now := time.Now()
	return result{item: d.item, verdict: verdictFinished, age: now.Sub(d.arrived(now)), tight: d.tight}
}

// fail ends a message of which something was not delivered: the sender is told where
// that is wanted; else it is set aside for a person.
func (d *delivery) fail(file, reason string, expired bool) result {
	if expired {
		if err := d.giveUpPending(); err != nil {
			return d.unwritten(err)
		}
	}
	fed, err := d.tryReport()
	switch {
	case err != nil:
		return d.unwritten(err)
	case !fed && d.reportAgain():
		return d.reportLater()
	case !fed: // a person has to tell the sender
		reason += "; the sender was not told: " + d.feeding.Error()
	case d.allTold():
		return d.finish()
	}
	return d.setAside(file, reason)
}

// reportLater keeps a message of which only a report of failures is left to do.
func (d *delivery) reportLater() result {
	d.last = d.feeding.Error()
	if err := d.countAttempt(); err != nil {
		return d.unwritten(err)
	}
	now := time.Now()
	return d.schedule(now.Add(d.cfg.Schedule.wait(d.attempts())), d.attempts(), 0, now)
}

// giveUpPending makes failures of the recipients that still wait.
func (d *delivery) giveUpPending() error {
	if !d.reports() {
		return nil // the envelope in bad shows who was not reached
	}
	for _, p := range d.env.Pending() {
		o := envelope.Outcome{Status: envelope.StatusFailed, Time: d.stamp(time.Now()), Text: envelope.CleanText(expiredStatus+" too old: "+d.lastError(), agent.MaxText)}
		if err := d.env.SetOutcome(p.Address, o); err != nil {
			return err
		}
		d.dirty = true
	}
	return nil
}

// postpone records the next attempt. Failures are reported now: the sender need not
// wait for the other recipients.
func (d *delivery) postpone(pending int) result {
	if _, err := d.tryReport(); err != nil {
		return d.unwritten(err)
	}
	now := time.Now()
	if err := d.countAttempt(); err != nil {
		return d.unwritten(err)
	}
	attempts := d.attempts()
	next, _ := d.cfg.Schedule.Next(d.arrived(now), now, attempts)
	return d.schedule(next, attempts, pending, now)
}

// schedule records that the message is due at a time.
func (d *delivery) schedule(next time.Time, attempts, pending int, now time.Time) result {
	if err := d.reportDelay(now); err != nil {
		d.feeding = err // tried again after the next attempt
	}
	if err := d.env.Set("Next-Attempt", envelope.FormatTime(next)); err != nil {
		return d.unwritten(err)
	}
	if err := d.claim.Record(next); err != nil {
		return d.unwritten(err)
	}
	d.written()
	d.ev.deferred(d.claim.ID(), attempts, next, pending, d.lastError())
	left := d.left()
	return d.giveBack(result{verdict: verdictDeferred, next: next, left: left})
}

// countAttempt notes in the envelope that an attempt was made, once.
func (d *delivery) countAttempt() error {
	if d.counted {
		return nil
	}
	d.counted = true
	if err := d.env.Set("Attempts", strconv.Itoa(min(d.attempts()+1, 999_999_999))); err != nil {
		return err
	}
	return d.env.Set("Last-Error", envelope.CleanText(d.lastError(), maxText))
}

// wait gives back a message for which no agent was called: lanes have not had their
// turn, or could not be reached. That counts no attempt, but why is written down.
func (d *delivery) wait(pending []envelope.Path) result {
	now := time.Now()
	if err := d.reportDelay(now); err != nil {
		d.feeding = err
	}
	if _, err := d.tryReport(); err != nil {
		return d.unwritten(err)
	}
	news := d.dirty
	if why := envelope.CleanText(d.last, maxText); why != "" && why != d.env.Get("Last-Error") {
		if err := d.env.Set("Last-Error", why); err != nil {
			return d.unwritten(err)
		}
		news = true
	}
	if !d.owedDue.IsZero() {
		return d.schedule(d.owedDue, d.attempts(), len(pending), now)
	}
	if news {
		if err := d.claim.Record(time.Time{}); err != nil {
			return d.unwritten(err)
		}
		d.written()
	}
	if d.broken != nil {
		return d.unwritten(d.broken) // of a part that was not tried: what is known is written
	}
	left := d.left()
	return d.giveBack(result{verdict: verdictWaits, left: left})
}

// left returns the lanes that have recipients and have not had their turn.
func (d *delivery) left() []place {
	if d.start.owed || d.start.aging != nil {
		return nil // they wait for their time, or in their lanes
	}
	var left []place
	for _, to := range d.env.Pending() {
		name := d.cfg.laneFor(d.own, to.Address)
		if d.parts[name] == nil && !placed(left, name) {
			left = append(left, place{lane: name, keys: d.keyers[name](to.Address, d.env.Get(fieldClient))})
		}
	}
	return left
}

// arrived returns when the message came.
func (d *delivery) arrived(now time.Time) time.Time {
	if d.arrival.IsZero() {
		d.arrival = arrival(d.claim.ContentInfo(), d.env, now)
	}
	return d.arrival
}

// failureReason is the reason for setting a message aside that a person reads
// first.
func (d *delivery) failureReason() string {
	all := d.env.Recipients()
	for _, r := range all {
		if r.Outcome != nil && r.Outcome.Status == envelope.StatusFailed {
			return fmt.Sprintf("%d of %d recipients failed for good, the first is <%s>: %s", d.failures(), len(all), r.Address, r.Outcome.Text)
		}
	}
	return "failed"
}

func (d *delivery) setAside(file, reason string) result {
	if err := d.claim.SetAside(reason); err != nil {
		return d.unwritten(err)
	}
	d.written()
	d.ev.aside(d.claim.ID(), file, reason)
	r := result{item: d.item, verdict: verdictAside, reason: reason}
	if d.own {
		r.reason = "" // not for the digest: one that cannot be delivered must not be the reason for the next
	}
	return r
}
