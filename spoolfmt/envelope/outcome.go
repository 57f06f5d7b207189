package envelope

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// A Status is what has become of a recipient for good.
type Status int

// The statuses. The words in an envelope are the fields' names.
const (
	StatusDelivered Status = iota + 1 // an agent has taken responsibility
	StatusFailed                      // it never will be delivered
)

// String returns the status in lower case.
func (s Status) String() string {
	switch s {
	case StatusDelivered:
		return "delivered"
	case StatusFailed:
		return "failed"
	}
	return "pending"
}

// An Outcome is a recipient's status, since when, and in what words.
type Outcome struct {
	Status Status
	Time   time.Time
	Text   string // may be empty when delivered
}

// parseOutcome reads "<address> TIME text". A delivery needs no text.
func parseOutcome(status Status, value string) (address string, o Outcome, err error) {
	p, rest, at, err := splitPath(value)
	if err != nil {
		return "", o, err
	}
	if !strings.HasPrefix(rest, " ") {
		return "", o, &valueError{at, errors.New("no time after the address")}
	}
	when, text, _ := strings.Cut(rest[1:], " ")
	t, ok := parseTime(when)
	switch {
	case !ok:
		return "", o, &valueError{at + 1, notTime(when)}
	case text == "" && status == StatusFailed, strings.HasPrefix(text, " "):
		return "", o, &valueError{at + 1 + len(when), errors.New("no text after the time and one space")}
	case len(text) > MaxOutcomeText:
		return "", o, &valueError{at + 2 + len(when) + MaxOutcomeText, fmt.Errorf("text of more than %d octets", MaxOutcomeText)}
	}
	return p.Address, Outcome{Status: status, Time: t, Text: text}, nil
}

// conclude gives an address its outcome: all recipients that name it.
func (e *Envelope) conclude(address string, o Outcome) error {
	first, known := e.first[address]
	if !known { // also what is no address at all
		return fmt.Errorf("outcome of <%.100s>, which is no recipient", address)
	}
	if e.recipients[first].Outcome != nil {
		return fmt.Errorf("second outcome of <%s>", address)
	}
	for i := first; ; i = e.recipients[i].same {
		e.recipients[i].Outcome = &o
		if e.recipients[i].same == 0 {
			return nil
		}
	}
}
