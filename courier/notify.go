package courier

import (
	"errors"
	"strings"
	"time"

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

func (d *delivery) dsn(notices []notice) *dsn {
	now := time.Now()
	return &dsn{host: d.cfg.Hostname, id: d.claim.ID(), now: now, arrival: d.arrived(now),
		sender: d.env.Sender(), notices: notices, content: d.claim.Content(), size: d.env.Size()}
}

// reportFailure tells the sender of every recipient that failed or, when the
// message is too old, is still pending. It returns true when there is nobody
// left whom a person would have to care for: each failure is reported, or was
// not to be.
func (d *delivery) reportFailure(expired bool) (bool, error) {
	if !d.reports() {
		return false, nil
	}
	var notices []notice
	var pending []envelope.Path
	quiet := 0
	seen := make(map[string]bool)
	for _, r := range d.env.Recipients() {
		var n notice
		switch {
		case seen[r.Address] || r.Outcome != nil && r.Outcome.Status == envelope.StatusDelivered:
			continue
		case r.Outcome != nil:
			n = notice{to: r.Path, action: "failed", status: statusIn(r.Outcome.Text), text: r.Outcome.Text}
		case expired:
			n = notice{to: r.Path, action: "failed", status: "4.4.7", text: d.last}
			pending = append(pending, r.Path)
		default:
			continue
		}
		seen[r.Address] = true
		if !wants(r.Path, "FAILURE") {
			quiet++
			continue
		}
		n.remote = d.remotes[r.Address]
		notices = append(notices, n)
	}
	if len(notices) == 0 {
		return false, nil // set aside: nobody was told
	}
	// What is reported must be written down before: who was told that it failed
	// must not get it delivered, even if this process dies now.
	for _, p := range pending {
		o := envelope.Outcome{Status: envelope.StatusFailed, Time: time.Now(), Text: envelope.CleanText("4.4.7 too old: "+d.last, maxOutcome)}
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
	id, err := d.dsn(notices).feed(d.spool, failureReport)
	if err != nil {
		return false, err
	}
	d.reported(id, failureReport, len(notices))
	d.bounced, d.dirty = true, true // nobody else knows it, until the message is at its end
	return quiet == 0, nil
}

// reportDelay warns a sender who asked for it, once, that recipients are
// waiting.
func (d *delivery) reportDelay(now time.Time) error {
	if !d.reports() || d.env.Get(fieldDelay) != "" || now.Sub(d.arrived(now)) < delayAfter {
		return nil
	}
	var notices []notice
	for _, p := range d.env.Pending() {
		if wants(p, "DELAY") {
			notices = append(notices, notice{to: p, action: "delayed", status: "4.4.1", text: d.last,
				remote: d.remotes[p.Address], until: d.arrived(now).Add(d.cfg.Schedule.maxAge())})
		}
	}
	if len(notices) == 0 {
		return nil
	}
	if err := d.env.Set(fieldDelay, envelope.FormatTime(now)); err != nil {
		return err
	}
	d.dirty = true
	id, err := d.dsn(notices).feed(d.spool, delayReport)
	if err != nil {
		return errors.Join(err, d.env.Set(fieldDelay, ""))
	}
	d.reported(id, delayReport, len(notices))
	return nil
}

// reportSuccess tells a sender who asked for it of those recipients that this
// attempt has delivered, unless the agent took that over.
func (d *delivery) reportSuccess() error {
	notices := d.success
	d.success = nil
	if !d.reports() || len(notices) == 0 {
		return nil
	}
	id, err := d.dsn(notices).feed(d.spool, successReport)
	if err == nil {
		d.reported(id, successReport, len(notices))
	}
	return err
}

func (d *delivery) reported(report string, kind reportKind, recipients int) {
	d.ev.reported(d.claim.ID(), report, kind, recipients)
	d.count.reports[kind]++
}

// succeeded remembers a delivery whose sender wants to know of it.
func (d *delivery) succeeded(to string, r Result) {
	if r.DSN || !d.reports() {
		return
	}
	for _, p := range d.env.Recipients() {
		if p.Address == to {
			if wants(p.Path, "SUCCESS") {
				action := "relayed"
				if final(d.agent) {
					action = "delivered"
				}
				d.success = append(d.success, notice{to: p.Path, action: action, status: "2.0.0", text: r.Text, remote: r.Remote})
			}
			return
		}
	}
}

// final tells whether what an agent takes has arrived, as opposed to being on
// its way.
func final(a Agent) bool {
	switch a := a.(type) {
	case *Maildir:
		return true
	case *Remote:
		return a.LMTP
	}
	return false
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
