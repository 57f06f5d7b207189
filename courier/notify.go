package courier

import (
	"errors"
	"strings"
	"time"

	"smap/courier/agent"
	"smap/courier/dsn"
	"smap/spoolfmt/envelope"
)

// delayAfter is the age at which a sender that asked for it is told of a delay.
const delayAfter = 4 * time.Hour

// Fields of the envelope that say what the sender was told already.
const (
	fieldDelay  = "X-Smapd-Delay"  // when it was told of a delay
	fieldFailed = "X-Smapd-Failed" // failures until then were reported
)

// reports tells whether the sender of this message may get reports at all.
func (d *delivery) reports() bool {
	return d.cfg.Bounce && d.env.Sender().Address != "" && !d.unreportable
}

// reportable tells whether an envelope takes the fields above: neither their number nor their
// octets may exceed its limits. A feeder can use up both. Then the sender gets no reports, and what fails is set aside:
// what was reported could not be written down.
func reportable(env *envelope.Envelope) bool {
	missing, size := 0, env.Room()
	for _, name := range []string{fieldDelay, fieldFailed} {
		size += int64(len(envelope.FormatTime(time.Time{})))
		if have := env.Get(name); have != "" {
			size -= int64(len(have))
			continue
		}
		missing++
		size += int64(len(name) + len(": \n"))
	}
	return env.SpareFields() >= missing && size <= envelope.MaxSize
}

// feedReport commits a report to the sender. A crash between this and the record of
// it makes the report come again, once for each crash: that is better than a sender
// that never hears.
func (d *delivery) feedReport(kind reportKind, recipients []dsn.Recipient) error {
	now := time.Now()
	r := &dsn.Report{Host: d.cfg.Hostname, ID: d.claim.ID(), Now: now, Arrival: d.arrived(now),
		Sender: d.env.Sender(), Recipients: recipients, Content: d.claim.Content(), Size: d.env.Size()}
	id, err := feedOwn(d.spool, r.Sender.Address, kind.String()+" "+r.ID, r.Write)
	if err != nil {
		return err
	}
	d.ev.reported(r.ID, id, kind, len(recipients))
	d.count.reports[kind]++
	return nil
}

// told returns until when failures were reported; zero is never.
func (d *delivery) told() time.Time {
	t, err := time.Parse(time.RFC3339Nano, d.env.Get(fieldFailed))
	if err != nil {
		return time.Time{}
	}
	return t
}

// ignoreTold removes what a feeder wrote there if the next outcome could have no later
// time: an envelope names no year after 9999. Any other time counts, also one that lies
// ahead: the clock may have been set back, and nothing is reported twice for that.
func (d *delivery) ignoreTold() error {
	if d.told().UTC().Year() < 9999 {
		return nil
	}
	return d.env.Set(fieldFailed, "")
}

// stamp returns the time of an outcome: later than the last report of failures, so
// that the next report has it even if the clock was set back.
func (d *delivery) stamp(now time.Time) time.Time {
	now = now.Truncate(time.Microsecond) // as envelopes have it
	if told := d.told(); !now.After(told) {
		return told.Add(time.Microsecond)
	}
	return now
}

// reportFailures tells the sender of every recipient that has failed since the last
// report.
func (d *delivery) reportFailures() error {
	if !d.reports() {
		return nil
	}
	told := d.told()
	newest := told
	var list []dsn.Recipient
	seen := make(map[string]bool)
	for _, r := range d.env.Recipients() {
		o := r.Outcome
		if o == nil || o.Status != envelope.StatusFailed || seen[r.Address] || !o.Time.After(told) || !dsn.Wants(r.Path, "FAILURE") {
			continue
		}
		seen[r.Address] = true
		if o.Time.After(newest) {
			newest = o.Time
		}
		list = append(list, d.failure(r.Path, o.Text))
	}
	if len(list) == 0 {
		return nil
	}
	// What is reported must be written down before: a recipient that was reported as
	// failed must not get the message later, even if this process dies now.
	if d.dirty {
		if err := d.claim.Record(time.Time{}); err != nil {
			return err
		}
		d.written()
	}
	if err := d.feedReport(failureReport, list); err != nil {
		return err
	}
	d.dirty, d.seen = true, true // nobody else knows it yet
	return d.env.Set(fieldFailed, envelope.FormatTime(newest))
}

// tryReport reports failures. False is a report that could not be fed: it comes with the
// next attempt, and there is room to write that down. An error means that the spool
// cannot be written.
func (d *delivery) tryReport() (bool, error) {
	err := d.reportFailures()
	if err == nil || d.dirty {
		return err == nil, err
	}
	d.feeding = err
	return false, d.claim.Reserve()
}

// reportAgain tells whether a report of failures that could not be fed is tried again: for
// as long as a message is, from the first failure that the sender does not know of.
func (d *delivery) reportAgain() bool {
	now := time.Now()
	since, told := now, d.told()
	for _, r := range d.env.Recipients() {
		if o := r.Outcome; o != nil && o.Status == envelope.StatusFailed && o.Time.After(told) && o.Time.Before(since) {
			since = o.Time
		}
	}
	_, again := d.cfg.Schedule.Next(since, now, d.attempts()+1)
	return again
}

// failure is what a report says of a recipient that failed.
func (d *delivery) failure(to envelope.Path, text string) dsn.Recipient {
	n := dsn.Recipient{Path: to, Action: dsn.Failed, Status: statusIn(text), Text: text}
	if r, ok := d.replies[to.Address]; ok && r.Outcome == agent.Failed {
		n.Remote, n.Reply = r.Remote, r.Reply
	}
	return n
}

// allTold tells whether the sender knows of every failure. Where it did not want to,
// a person has to.
func (d *delivery) allTold() bool {
	told := d.told()
	if !d.reports() || told.IsZero() {
		return false
	}
	for _, r := range d.env.Recipients() {
		if o := r.Outcome; o == nil || o.Status == envelope.StatusFailed && (o.Time.After(told) || !dsn.Wants(r.Path, "FAILURE")) {
			return false
		}
	}
	return true
}

// delayWanted tells whether a sender is to be told of a delay, and was not yet.
func delayWanted(cfg *Config, env *envelope.Envelope) bool {
	if !cfg.Bounce || env.Sender().Address == "" || env.Get(fieldDelay) != "" || !reportable(env) {
		return false
	}
	for _, p := range env.Pending() {
		if dsn.Wants(p, "DELAY") {
			return true
		}
	}
	return false
}

// reportDelay warns a sender that asked for it, once, that recipients are waiting.
func (d *delivery) reportDelay(now time.Time) error {
	if !delayWanted(d.cfg, d.env) || now.Sub(d.arrived(now)) < delayAfter {
		return nil
	}
	var list []dsn.Recipient
	for _, p := range d.env.Pending() {
		if dsn.Wants(p, "DELAY") {
			r := d.replies[p.Address]
			list = append(list, dsn.Recipient{Path: p, Action: dsn.Delayed, Status: "4.4.1", Text: d.lastError(),
				Remote: r.Remote, Reply: r.Reply, Until: d.arrived(now).Add(d.cfg.Schedule.maxAge())})
		}
	}
	if err := d.env.Set(fieldDelay, envelope.FormatTime(now)); err != nil {
		return err
	}
	if err := d.feedReport(delayReport, list); err != nil {
		return errors.Join(err, d.env.Set(fieldDelay, ""))
	}
	d.dirty, d.seen = true, true
	return nil
}

// reportSuccess tells a sender that asked for it of those recipients that this
// attempt has delivered, unless the agent took that over.
func (d *delivery) reportSuccess() error {
	list := d.success
	d.success = nil
	if !d.reports() || len(list) == 0 {
		return nil
	}
	return d.feedReport(successReport, list)
}

// succeeded remembers a delivery whose sender wants to know of it.
func (d *delivery) succeeded(a agent.Agent, to string, r agent.Result) {
	if r.DSN || !d.reports() {
		return
	}
	for _, p := range d.env.Recipients() {
		if p.Address != to {
			continue
		}
		if dsn.Wants(p.Path, "SUCCESS") {
			action := dsn.Relayed
			if agent.Final(a) {
				action = dsn.Delivered
			}
			d.success = append(d.success, dsn.Recipient{Path: p.Path, Action: action, Status: "2.0.0", Text: r.Text, Remote: r.Remote, Reply: r.Reply})
		}
		return
	}
}

// statusIn finds the enhanced status code of RFC 3463 in what was written down
// of a failure.
func statusIn(text string) string {
	for _, word := range strings.Fields(text) {
		class, rest, ok := strings.Cut(word, ".")
		subject, detail, more := strings.Cut(rest, ".")
		if ok && more && (class == "5" || word == expiredStatus) && digits(subject) && digits(detail) {
			return word
		}
	}
	return "5.0.0"
}

// expiredStatus is the status of a recipient that was tried for too long.
const expiredStatus = "4.4.7"

func digits(s string) bool {
	return s != "" && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}
