package courier

import (
	"errors"
	"strings"
	"time"

	"smap/courier/agent"
	"smap/courier/dsn"
	"smap/spoolfmt/envelope"
)

// delayAfter is the age at which a sender who asked for it learns of a delay.
const delayAfter = 4 * time.Hour

// fieldDelay notes in the envelope that the sender was told of a delay.
const fieldDelay = "X-Smapd-Delay"

// reports tells whether the sender of this message may get reports at all.
func (d *delivery) reports() bool {
	return d.cfg.Bounce && d.env.Sender().Address != ""
}

// feedReport commits a report to the sender, and returns its id. A crash between
// this and the record of it makes the report come again, once for each crash: that
// is better than a sender that never hears.
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

// reportFailure tells the sender of every recipient that failed or, when the
// message is too old, is still pending. It returns true when there is nobody
// left whom a person would have to care for: each failure is reported, or was
// not to be.
func (d *delivery) reportFailure(expired bool) (bool, error) {
	if !d.reports() {
		return false, nil
	}
	var list []dsn.Recipient
	var pending []envelope.Path
	quiet := 0
	seen := make(map[string]bool)
	for _, r := range d.env.Recipients() {
		var n dsn.Recipient
		switch {
		case seen[r.Address] || r.Outcome != nil && r.Outcome.Status == envelope.StatusDelivered:
			continue
		case r.Outcome != nil:
			n = dsn.Recipient{Path: r.Path, Action: dsn.Failed, Status: statusIn(r.Outcome.Text), Text: r.Outcome.Text}
		case expired:
			n = dsn.Recipient{Path: r.Path, Action: dsn.Failed, Status: "4.4.7", Text: d.last}
			pending = append(pending, r.Path)
		default:
			continue
		}
		seen[r.Address] = true
		if !dsn.Wants(r.Path, "FAILURE") {
			quiet++
			continue
		}
		n.Remote = d.remotes[r.Address]
		list = append(list, n)
	}
	if len(list) == 0 {
		return false, nil // set aside: nobody was told
	}
	// What is reported must be written down before: who was told that it failed
	// must not get it delivered, even if this process dies now.
	for _, p := range pending {
		o := envelope.Outcome{Status: envelope.StatusFailed, Time: time.Now(), Text: envelope.CleanText("4.4.7 too old: "+d.last, agent.MaxText)}
		if err := d.env.SetOutcome(p.Address, o); err != nil {
			return false, err
		}
		d.dirty = true
	}
	if d.dirty {
		if err := d.claim.Record(time.Time{}); err != nil {
			return false, err
		}
		d.dirty = false
	}
	if err := d.feedReport(failureReport, list); err != nil {
		return false, err
	}
	d.bounced, d.dirty = true, true // nobody else knows it, until the message is at its end
	return quiet == 0, nil
}

// reportDelay warns a sender who asked for it, once, that recipients are
// waiting.
func (d *delivery) reportDelay(now time.Time) error {
	if !d.reports() || d.env.Get(fieldDelay) != "" || now.Sub(d.arrived(now)) < delayAfter {
		return nil
	}
	var list []dsn.Recipient
	for _, p := range d.env.Pending() {
		if dsn.Wants(p, "DELAY") {
			list = append(list, dsn.Recipient{Path: p, Action: dsn.Delayed, Status: "4.4.1", Text: d.last,
				Remote: d.remotes[p.Address], Until: d.arrived(now).Add(d.cfg.Schedule.maxAge())})
		}
	}
	if len(list) == 0 {
		return nil
	}
	if err := d.env.Set(fieldDelay, envelope.FormatTime(now)); err != nil {
		return err
	}
	d.dirty = true
	if err := d.feedReport(delayReport, list); err != nil {
		return errors.Join(err, d.env.Set(fieldDelay, ""))
	}
	return nil
}

// reportSuccess tells a sender who asked for it of those recipients that this
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
func (d *delivery) succeeded(to string, r agent.Result) {
	if r.DSN || !d.reports() {
		return
	}
	for _, p := range d.env.Recipients() {
		if p.Address == to {
			if dsn.Wants(p.Path, "SUCCESS") {
				action := dsn.Relayed
				if agent.Final(d.agent) {
					action = dsn.Delivered
				}
				d.success = append(d.success, dsn.Recipient{Path: p.Path, Action: action, Status: "2.0.0", Text: r.Text, Remote: r.Remote})
			}
			return
		}
	}
}

// statusIn finds the enhanced status code of RFC 3463 in what was written down
// of a failure.
func statusIn(text string) string {
	for _, word := range strings.Fields(text) {
		class, rest, ok := strings.Cut(word, ".")
		subject, detail, more := strings.Cut(rest, ".")
		if ok && more && class == "5" && digits(subject) && digits(detail) {
			return word
		}
	}
	return "5.0.0"
}

func digits(s string) bool {
	return s != "" && len(s) <= 3 && strings.Trim(s, "0123456789") == ""
}
