package courier

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"

	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// interrupted gives a message back that a stop has cut short: what is known is
// written, and no attempt is counted.
func (d *delivery) interrupted() report {
	if d.dirty {
		if err := d.claim.Record(time.Time{}); err != nil {
			return d.hold(err)
		}
		d.dirty = false
	}
	return d.giveBack(report{verdict: verdictStopped})
}

// conclude decides by the envelope's state what becomes of the message. It may
// be called again after it could not be written.
func (d *delivery) conclude() report {
	failed := 0
	for _, r := range d.env.Recipients() {
		if r.Outcome != nil && r.Outcome.Status == envelope.StatusFailed {
			failed++
		}
	}
	pending := len(d.env.Pending())
	if err := d.reportSuccess(); err != nil {
		d.feeding = err // the delivery itself stands
	}
	switch {
	case pending > 0:
		return d.postpone(pending)
	case failed > 0:
		return d.fail("", d.failureReason(failed), false)
	}
	return d.finish()
}

// finish ends a message that nobody has to care for any more.
func (d *delivery) finish() report {
	if err := d.claim.Finish(); err != nil {
		return d.hold(err)
	}
	d.ev.finished(d.claim.ID(), d.env.Sender().Address, d.env.Size(), len(d.env.Recipients()), time.Since(d.begin))
	now := time.Now()
	return report{item: d.item, verdict: verdictFinished, tried: d.tried, age: now.Sub(d.arrived(now))}
}

// fail ends a message of which something was not delivered: the sender is told
// where that is wanted; else it is set aside for a person.
func (d *delivery) fail(file, reason string, expired bool) report {
	if !d.bounced {
		told, err := d.reportFailure(expired)
		if err != nil {
			return d.hold(err)
		}
		d.ended = told
	}
	if d.ended {
		return d.finish()
	}
	return d.setAside(file, reason)
}

// postpone records the next attempt, or sets aside what was tried for too long.
func (d *delivery) postpone(pending int) report {
	now := time.Now()
	attempts, err := strconv.Atoi(d.env.Get("Attempts"))
	if err != nil {
		attempts = 0 // no such field
	}
	if !d.counted {
		attempts++
		if err := d.setAttempt(attempts); err != nil {
			return d.hold(err)
		}
	}
	arrival := d.arrived(now)
	next, again := d.cfg.Schedule.Next(arrival, now, attempts)
	if !again {
		d.ev.expired(d.claim.ID(), attempts, now.Sub(arrival))
		return d.fail("", fmt.Sprintf("not delivered to %d of %d recipients in %d attempts since %s: %s",
			pending, len(d.env.Recipients()), attempts, envelope.FormatTime(arrival), d.last), true)
	}
	if err := d.reportDelay(now); err != nil {
		d.feeding = err // tried again after the next attempt
	}
	if err := d.env.Set("Next-Attempt", envelope.FormatTime(next)); err != nil {
		return d.hold(err)
	}
	if err := d.claim.Record(next); err != nil {
		return d.hold(err)
	}
	d.dirty = false
	d.ev.deferred(d.claim.ID(), attempts, next, pending, d.last)
	return d.giveBack(report{verdict: verdictDeferred, next: next})
}

// setAttempt writes down that an attempt was made.
func (d *delivery) setAttempt(attempts int) error {
	d.counted, d.dirty = true, true
	if err := d.env.Set("Attempts", strconv.Itoa(min(attempts, 999_999_999))); err != nil {
		return err
	}
	if d.last == "" {
		d.last = "not delivered"
	}
	return d.env.Set("Last-Error", envelope.CleanText(d.last, maxText))
}

// arrived says when the message came: what its feeder wrote, unless the file is
// older. A feeder's clock that is ahead does not make it younger than now.
func (d *delivery) arrived(now time.Time) time.Time {
	if !d.arrival.IsZero() {
		return d.arrival
	}
	d.arrival = now
	if info, err := d.spool.Stat(spoolfmt.Cur, d.claim.ID()+spoolfmt.KindContent.Suffix()); err == nil && info.ModTime.Before(now) {
		d.arrival = info.ModTime
	}
	if t, err := time.Parse(time.RFC3339Nano, d.env.Get("Received-At")); err == nil && t.Before(d.arrival) {
		d.arrival = t
	}
	return d.arrival
}

// failureReason is the reason for setting a message aside that a person reads
// first.
func (d *delivery) failureReason(failed int) string {
	all := d.env.Recipients()
	for _, r := range all {
		if r.Outcome != nil && r.Outcome.Status == envelope.StatusFailed {
			return fmt.Sprintf("%d of %d recipients failed for good, the first is <%s>: %s", failed, len(all), r.Address, r.Outcome.Text)
		}
	}
	return "failed"
}

func (d *delivery) setAside(file, reason string) report {
	if err := d.claim.SetAside(reason); err != nil {
		if d.dirty || d.missing(err) {
			return d.hold(err)
		}
		v := verdictOdd
		if systemTrouble(err) {
			v = verdictSpool
		}
		return d.giveBack(report{verdict: v, err: err})
	}
	d.ev.aside(d.claim.ID(), file, reason)
	r := report{item: d.item, verdict: verdictAside, tried: d.tried, reason: reason}
	if d.ours {
		r.reason = "" // not for the digest: one that cannot be delivered must not be the reason for the next
	}
	return r
}

// missing tells whether the message is not there any more, as opposed to
// something that is needed to write it down.
func (d *delivery) missing(err error) bool {
	if !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	_, err = d.spool.Stat(spoolfmt.Cur, d.claim.ID()+spoolfmt.KindEnvelope.Suffix())
	return errors.Is(err, fs.ErrNotExist)
}

// hold keeps a message claimed whose state could not be written: nobody may
// deliver it again before that is done. A message that is not there any more is
// given up.
func (d *delivery) hold(err error) report {
	if gone := d.missing(err); gone || !d.dirty {
		v := verdictOdd
		switch {
		case gone:
			v = verdictGone
		case systemTrouble(err):
			v = verdictSpool
		}
		return d.giveBack(report{verdict: v, err: err})
	}
	return report{item: d.item, verdict: verdictHeld, err: err, held: d, tried: d.tried}
}
