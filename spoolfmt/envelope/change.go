package envelope

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// SetSize sets the octets of the content.
func (e *Envelope) SetSize(n int64) {
	e.size = n
	e.put("Size", strconv.FormatInt(n, 10))
}

// SetChecksum sets the CRC32C of the content: see [ChecksumTable].
func (e *Envelope) SetChecksum(crc uint32) { e.put("CRC32C", fmt.Sprintf("%08x", crc)) }

// Set replaces the value of a single or unknown field, or adds the field. An
// empty value removes it. Sender, recipients, size and outcomes have methods of
// their own. Set refuses what a reader would refuse.
func (e *Envelope) Set(name, value string) error {
	r, known := ruleOf(name)
	if known && !r.settable {
		return fmt.Errorf("field %s cannot be set", r.name)
	}
	if value == "" {
		e.remove(name)
		return nil
	}
	err := checkField(name, value)
	if err == nil && known {
		err = r.take(e, value)
	}
	if err != nil {
		return fmt.Errorf("field %.70s: %w", name, err)
	}
	e.put(name, value)
	return nil
}

func (e *Envelope) put(name, value string) {
	for i := range e.fields {
		if strings.EqualFold(e.fields[i].Name, name) {
			e.fields[i].Value = value
			return
		}
	}
	e.fields = append(e.fields, Field{name, value})
}

func (e *Envelope) remove(names ...string) {
	e.fields = slices.DeleteFunc(e.fields, func(f Field) bool {
		return slices.ContainsFunc(names, func(name string) bool { return strings.EqualFold(name, f.Name) })
	})
}

// SetOutcome records what became of a recipient. That is final: an address has at
// most one outcome. Its text is made to fit.
func (e *Envelope) SetOutcome(address string, o Outcome) error {
	name, text := "Delivered", CleanText(o.Text, maxOurText)
	switch o.Status {
	case StatusDelivered:
	case StatusFailed:
		name = "Failed"
		if text == "" {
			text = "failed"
		}
	default:
		return fmt.Errorf("outcome of <%.100s>: status %d", address, o.Status)
	}
	value := "<" + address + "> " + FormatTime(o.Time)
	if text != "" {
		value += " " + text
	}
	read, o, err := parseOutcome(o.Status, value)
	if err != nil || read != address {
		return fmt.Errorf("outcome of <%.100s>: %w", address, errors.Join(err, errDelimiter))
	}
	if err := e.conclude(address, o); err != nil {
		return err
	}
	e.fields = append(e.fields, Field{name, value})
	return nil
}

// Requeue makes an envelope ready for a new life. Failures and everything about
// attempts go, deliveries stay, and the message's age begins now.
func (e *Envelope) Requeue(now time.Time) {
	e.remove("Failed", "Attempts", "Next-Attempt", "Last-Error", "Set-Aside")
	for i := range e.recipients {
		if o := e.recipients[i].Outcome; o != nil && o.Status == StatusFailed {
			e.recipients[i].Outcome = nil
		}
	}
	e.put("Requeued-At", FormatTime(now))
}
