package courier

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"smap/spoolfmt"
)

// interrupted gives a message back that a stop has cut short: what is known is
// written, and no attempt is counted.
func (d *delivery) interrupted(ctx context.Context) result {
	if d.dirty {
		return d.keep(ctx, func() result {
			err := d.noteAgain()
			if err == nil {
				err = d.claim.Record(time.Time{})
			}
			if err != nil {
				return d.unwritten(err)
			}
			d.written()
			return d.giveBack(result{verdict: verdictStopped})
		})
	}
	return d.giveBack(result{verdict: verdictStopped})
}

// keep keeps a message claimed, and its slots taken, until its state can be written:
// until then nobody may deliver it a second time, not even another drainer. Only the
// end of the courier's grace ends that.
func (d *delivery) keep(ctx context.Context, write func() result) result {
	r := write()
	for wait := time.Second; r.verdict == verdictLost; wait = min(2*wait, lastProbe) {
		d.held(r.err)
		if d.replaced() && errors.Is(r.err, fs.ErrNotExist) {
			// Somebody removed the directory and made another one. The message is
			// tried again from there, with what was recorded before.
			return d.giveBack(result{verdict: verdictGone, err: fmt.Errorf("outcome is lost: %w", r.err)})
		}
		if context.Cause(ctx) != nil {
			return d.giveBack(result{verdict: verdictLost, err: fmt.Errorf("outcome of %s is lost: %w", d.claim.ID(), r.err)})
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
		r = write()
	}
	return r
}

// unwritten is the result of a message whose state could not be written: it is held if
// something would be lost. While the system cannot write for anybody, that is only what
// somebody saw. A failure that nobody was told of costs another attempt, and holding it
// would keep a slot from mail that makes room. A message that a person has deleted is gone.
func (d *delivery) unwritten(err error) result {
	switch {
	case d.missing(err):
		return d.giveBack(result{verdict: verdictGone})
	case d.seen, d.dirty && !systemTrouble(err):
		return result{item: d.item, verdict: verdictLost, err: err}
	}
	return d.unwritable(err)
}

// unwritable gives a message back that the spool, or its own files, cannot take. After an
// attempt, only memory has the time of the next one.
func (d *delivery) unwritable(err error) result {
	r := result{verdict: verdictOdd, err: err}
	if systemTrouble(err) {
		r.verdict = verdictSpool
	}
	if len(d.replies) > 0 {
		n := d.attempts()
		if !d.counted {
			n++
		}
		r.next = time.Now().Add(d.cfg.Schedule.wait(n))
	}
	return d.giveBack(r)
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
