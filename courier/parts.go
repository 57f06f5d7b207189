package courier

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt/envelope"
)

// runParts runs the part of the lane that started the delivery, and those that
// joined, until all have ended.
func (d *delivery) runParts(ctx context.Context) {
	d.mu.Lock()
	for _, p := range d.env.Pending() {
		d.shared = d.shared || d.cfg.laneFor(d.own, p.Address) != d.first.name
	}
	d.asRead = d.env
	if d.shared {
		d.asRead = snapshot(d.env)
	}
	d.loaded = true
	for _, p := range d.parts {
		if p != d.first {
			go d.runPart(ctx, p)
		}
	}
	d.mu.Unlock()
	d.runPart(ctx, d.first)
	d.mu.Lock()
	defer d.mu.Unlock()
	for d.open > 0 {
		d.changed.Wait()
	}
	d.closed = true
}

// snapshot returns a copy of an envelope, for reading beside changes to it.
func snapshot(env *envelope.Envelope) *envelope.Envelope {
	data, err := env.Marshal()
	if err == nil {
		var c *envelope.Envelope
		if c, err = envelope.Parse(data); err == nil {
			return c
		}
	}
	panic(fmt.Sprintf("an envelope that was read cannot be written: %v", err))
}

// runPart delivers to the recipients of one lane.
func (d *delivery) runPart(ctx context.Context, p *part) {
	content, err := d.contentFor()
	for _, batch := range d.batches(p) {
		began := time.Now()
		if err != nil || !d.attempt(ctx, p, content, batch) {
			break
		}
		if time.Since(began) >= d.cfg.AgentTimeout && d.retries(batch[0].Address) {
			break // it hangs; the other batches would too, for hours
		}
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err != nil && d.broken == nil {
		d.broken = err
	}
	if content != nil && d.shared {
		_ = content.Close() // only read
	}
	if d.open > 1 { // its slot is free while others go on
		if d.dirty && d.broken == nil {
			d.record()
		}
		d.mu.Unlock() // the loop may be about to let another part join
		d.tell(p)
		d.mu.Lock()
	} else {
		d.ended = append(d.ended, p)
	}
	d.open--
	d.changed.Broadcast()
}

// retries tells whether the last result of a recipient was to try again.
func (d *delivery) retries(to string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	r, ok := d.replies[to]
	return ok && r.Outcome == agent.Retry
}

// contentFor returns the content for one part: with a position of its own where
// parts run at the same time.
func (d *delivery) contentFor() (*os.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.shared {
		return d.claim.Open()
	}
	return d.claim.Content(), nil
}

// open returns the content once more, for a program.
func (d *delivery) openContent() (*os.File, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.claim.Open()
}

// batches splits a lane's pending recipients into calls. Each attempt begins with another
// of them: one that hangs must not keep the others from ever being tried.
func (d *delivery) batches(p *part) [][]envelope.Path {
	d.mu.Lock()
	defer d.mu.Unlock()
	var pending []envelope.Path
	for _, to := range d.env.Pending() {
		if d.cfg.laneFor(d.own, to.Address) == p.name {
			pending = append(pending, to)
		}
	}
	all := split(pending, p.agent, p.batch)
	if len(all) == 0 {
		return nil
	}
	first := d.attempts() % len(all)
	return slices.Concat(all[first:], all[:first])
}

// maxCall bounds the octets of addresses in one call of an agent: arguments and
// environment have a limit.
const maxCall = 64 << 10

// split splits recipients into calls of an agent, at most batch in each.
func split(pending []envelope.Path, a agent.Agent, batch int) [][]envelope.Path {
	group := func(envelope.Path) string { return "" }
	if g, ok := a.(agent.Grouper); ok {
		group = g.Group
		slices.SortStableFunc(pending, func(a, b envelope.Path) int { return strings.Compare(group(a), group(b)) })
	}
	if n := a.MaxRecipients(); n > 0 {
		batch = min(batch, n)
	}
	var out [][]envelope.Path
	for len(pending) > 0 {
		n, size := 0, 0
		for n < len(pending) && n < batch && (n == 0 || size+len(pending[n].Address) < maxCall && group(pending[n-1]) == group(pending[n])) {
			size += len(pending[n].Address) + 1
			n++
		}
		out = append(out, pending[:n])
		pending = pending[n:]
	}
	return out
}

// record writes outcomes down. It is called with the lock held. Where it fails,
// nothing more is delivered.
func (d *delivery) record() bool {
	if err := d.claim.Record(time.Time{}); err != nil {
		d.broken = err
		return false
	}
	d.written()
	return true
}

// written notes that all that is known is on the disk.
func (d *delivery) written() {
	d.dirty, d.seen = false, false
	for _, log := range d.unlogged {
		log()
	}
	d.unlogged = nil
}

// attempt makes one call of the agent and notes what came of it. False ends the
// part.
func (d *delivery) attempt(ctx context.Context, p *part, content *os.File, batch []envelope.Path) bool {
	job, ok := d.prepare(p, content, batch)
	if !ok {
		return false
	}
	results, err := d.call(ctx, p, job)
	d.mu.Lock()
	defer d.mu.Unlock()
	if bad := (*agent.ContentError)(nil); errors.As(err, &bad) {
		d.broken = err
		return false
	}
	if err != nil {
		d.last = err.Error()
		if !p.tried { // else some batches were attempted: an attempt like any other
			p.err = err
		}
		return false
	}
	p.tried = true
	now := d.stamp(time.Now())
	for i, to := range batch {
		d.note(p, to.Address, results[i], now)
	}
	return d.broken == nil && context.Cause(ctx) == nil
}

// prepare writes down what is known, and makes sure that the next outcomes find
// room on the disk.
func (d *delivery) prepare(p *part, content *os.File, batch []envelope.Path) (*agent.Job, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.broken != nil || d.dirty && !d.record() {
		return nil, false
	}
	if err := d.claim.Reserve(); err != nil {
		d.broken = err
		return nil, false
	}
	d.tight = !d.claim.HasRoom()
	return &agent.Job{
		ID: d.claim.ID(), Sender: d.env.Sender(), Recipients: batch,
		Content: content, Open: d.openContent, Lock: d.claim.LockedFile(), Size: d.env.Size(), Envelope: d.asRead,
		EnvelopePath: d.claim.EnvelopePath(),
	}, true
}

// call calls the agent. The agent timeout is for programs: a client of a server has
// limits of its own, which progress renews.
func (d *delivery) call(ctx context.Context, p *part, job *agent.Job) ([]agent.Result, error) {
	if !agent.HasLimits(p.agent) {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeoutCause(ctx, d.cfg.AgentTimeout, errTimeout)
		defer cancel()
	}
	results, err := p.agent.Deliver(ctx, job)
	if err == nil && len(results) != len(job.Recipients) {
		return job.Same(agent.Result{Text: fmt.Sprintf("agent reported %d results for %d recipients", len(results), len(job.Recipients))}), nil
	}
	return results, err
}

// note puts one result into the envelope and the log.
func (d *delivery) note(p *part, to string, r agent.Result, now time.Time) {
	text := r.Text
	if r.Outcome == agent.Failed && r.Status != "" && !strings.Contains(text, r.Status) {
		text = r.Status + " " + text // for a report, perhaps by a later process
	}
	o := envelope.Outcome{Time: now, Text: envelope.CleanText(text, agent.MaxText)}
	if d.replies == nil {
		d.replies = make(map[string]agent.Result)
	}
	d.replies[to] = r
	d.count.result(p.name, r)
	switch r.Outcome {
	case agent.Delivered:
		o.Status = envelope.StatusDelivered
		d.ev.delivered(d.claim.ID(), to, p.agent.Name(), now.Sub(d.begin), r.Text)
		d.succeeded(p.agent, to, r)
	case agent.Failed:
		o.Status = envelope.StatusFailed
		if o.Text == "" {
			o.Text = "refused"
		}
		log := func() { d.ev.failed(d.claim.ID(), to, p.agent.Name(), r.Text) }
		if d.tight { // it may cost another attempt, and another one
			d.unlogged = append(d.unlogged, log)
		} else {
			log()
		}
	default:
		d.last = r.Text
		return
	}
	d.dirty = true
	d.seen = d.seen || r.Outcome == agent.Delivered
	if err := d.env.SetOutcome(to, o); err != nil {
		d.broken = err
		d.refused = append(d.refused, refusedOutcome{to, o})
	}
}

// A refusedOutcome is one that the envelope did not take.
type refusedOutcome struct {
	to string
	o  envelope.Outcome
}

// noteAgain puts the outcomes into the envelope that it did not take, with a new time. While
// it cannot, the message is held: what was delivered must not be delivered again.
func (d *delivery) noteAgain() error {
	for len(d.refused) > 0 {
		next := d.refused[0]
		next.o.Time = d.stamp(time.Now())
		if err := d.env.SetOutcome(next.to, next.o); err != nil {
			return err
		}
		d.refused = d.refused[1:]
	}
	return nil
}
