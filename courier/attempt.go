package courier

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt/envelope"
)

// batches splits the pending recipients into calls.
func (d *delivery) batches() [][]envelope.Path {
	pending := d.env.Pending()
	if g, ok := d.agent.(agent.Grouper); ok {
		slices.SortStableFunc(pending, func(a, b envelope.Path) int { return strings.Compare(g.Group(a), g.Group(b)) })
	}
	most := d.cfg.Batch
	if n := d.agent.MaxRecipients(); n > 0 {
		most = min(most, n)
	}
	var out [][]envelope.Path
	for len(pending) > 0 {
		n, size := 0, 0
		for n < len(pending) && n < most && (n == 0 || size+len(pending[n].Address) < maxCall && d.together(pending[n-1], pending[n])) {
			size += len(pending[n].Address) + 1
			n++
		}
		out = append(out, pending[:n])
		pending = pending[n:]
	}
	return out
}

func (d *delivery) together(a, b envelope.Path) bool {
	g, ok := d.agent.(agent.Grouper)
	return !ok || g.Group(a) == g.Group(b)
}

// attempt makes one call of the agent and records what came of it. False ends
// the delivery with that report.
func (d *delivery) attempt(ctx context.Context, batch []envelope.Path) (report, bool) {
	if d.dirty {
		if err := d.claim.Record(time.Time{}); err != nil {
			return d.hold(err), false
		}
		d.dirty = false
	}
	if err := d.claim.Reserve(); err != nil {
		return d.giveBack(report{verdict: verdictSpool, err: err}), false
	}
	results, err := d.call(ctx, batch)
	if err != nil {
		if d.tried || d.apart {
			// Some batches were attempted: an attempt like any other. Or the
			// bounce-agent is at fault, and other mail must not wait for that.
			d.last = err.Error()
			return report{}, true
		}
		return d.giveBack(report{verdict: verdictAgent, err: err}), false
	}
	d.tried = true
	now := time.Now()
	for i, to := range batch {
		if err := d.note(to.Address, results[i], now); err != nil {
			return d.hold(err), false
		}
	}
	if context.Cause(ctx) != nil && len(d.env.Pending()) > 0 {
		return d.interrupted(), false
	}
	return report{}, true
}

func (d *delivery) call(ctx context.Context, batch []envelope.Path) ([]agent.Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, d.cfg.AgentTimeout, errTimeout)
	defer cancel()
	job := &agent.Job{
		ID: d.claim.ID(), Sender: d.env.Sender(), Recipients: batch,
		Content: d.claim.Content(), Open: d.claim.Open, Lock: d.claim.LockedFile(), Size: d.env.Size(), Envelope: d.env,
		EnvelopePath: d.claim.EnvelopePath(),
	}
	results, err := d.agent.Deliver(ctx, job)
	if err == nil && len(results) != len(batch) {
		return job.Same(agent.Result{Text: fmt.Sprintf("agent reported %d results for %d recipients", len(results), len(batch))}), nil
	}
	return results, err
}

// note puts one result into the envelope and the log.
func (d *delivery) note(to string, r agent.Result, now time.Time) error {
	said := r.Text
	if r.Outcome == agent.Failed && r.Status != "" && !strings.Contains(said, r.Status) {
		said = r.Status + " " + said // for a report, perhaps by a later process
	}
	o := envelope.Outcome{Time: now, Text: envelope.CleanText(said, agent.MaxText)}
	if r.Remote != "" {
		if d.remotes == nil {
			d.remotes = make(map[string]string)
		}
		d.remotes[to] = r.Remote
	}
	d.count.recipients[r.Outcome]++
	switch r.Outcome {
	case agent.Delivered:
		o.Status = envelope.StatusDelivered
		d.ev.delivered(d.claim.ID(), to, d.agent.Name(), now.Sub(d.begin))
		d.succeeded(to, r)
	case agent.Failed:
		o.Status = envelope.StatusFailed
		if o.Text == "" {
			o.Text = "refused"
		}
		d.ev.failed(d.claim.ID(), to, d.agent.Name(), r.Text)
	default:
		d.last = r.Text
		return nil
	}
	d.dirty = true
	return d.env.SetOutcome(to, o)
}
