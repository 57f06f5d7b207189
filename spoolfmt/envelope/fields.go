package envelope

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// A fieldRule is what the format says of a field that it knows. take checks a
// value and keeps what it means.
type fieldRule struct {
	name     string
	single   bool
	settable bool // by Set
	take     func(e *Envelope, value string) error
}

// knownField returns the rule of a field, or nil for one that is unknown. It is
// a switch and not a table because a table would be built at the start of every
// smap, for a handful of look-ups.
func knownField(name string) *fieldRule {
	is := func(known string) bool { return strings.EqualFold(name, known) }
	switch {
	case is("Recipient"):
		return &fieldRule{"Recipient", false, false, takeRecipient}
	case is("Sender"):
		return &fieldRule{"Sender", true, false, takeSender}
	case is("Size"):
		return &fieldRule{"Size", true, false, takeSize}
	case is("Delivered"):
		return &fieldRule{"Delivered", false, false, func(e *Envelope, v string) error { return takeOutcome(e, StatusDelivered, v) }}
	case is("Failed"):
		return &fieldRule{"Failed", false, false, func(e *Envelope, v string) error { return takeOutcome(e, StatusFailed, v) }}
	case is("Spool-Format"):
		return &fieldRule{"Spool-Format", true, false, func(*Envelope, string) error { return nil }}
	case is("SHA256"):
		return &fieldRule{"SHA256", true, true, takeHex(64)}
	case is("CRC32C"):
		return &fieldRule{"CRC32C", true, true, takeHex(8)}
	case is("Attempts"):
		return &fieldRule{"Attempts", true, true, takeAttempts}
	case is("Received-At"), is("Next-Attempt"), is("Requeued-At"):
		return &fieldRule{name, true, true, takeTime}
	case is("Set-Aside"):
		return &fieldRule{"Set-Aside", true, true, takeSetAside}
	case is("Client-Address"), is("Client-Name"), is("Client-Ident"), is("Helo"),
		is("Protocol"), is("TLS"), is("Last-Error"):
		return &fieldRule{name, true, true, func(*Envelope, string) error { return nil }}
	}
	return nil
}

func takeSender(e *Envelope, value string) (err error) {
	if e.sender, err = ParsePath(value); err == nil {
		err = CheckSenderParams(e.sender.Params)
	}
	return err
}

func takeRecipient(e *Envelope, value string) error {
	p, err := ParsePath(value)
	switch {
	case err != nil:
		return err
	case p.Address == "":
		return &pathError{0, errors.New("a recipient has an address")}
	case len(e.recipients) == MaxRecipients:
		return fmt.Errorf("more than %d recipients", MaxRecipients)
	}
	if err := CheckRecipientParams(p.Params); err != nil {
		return err
	}
	e.byAddress[p.Address] = append(e.byAddress[p.Address], len(e.recipients))
	e.recipients = append(e.recipients, Recipient{Path: p})
	return nil
}

func takeSize(e *Envelope, value string) (err error) {
	if !number(value, 18) {
		return errors.New("not a number of octets")
	}
	e.size, err = strconv.ParseInt(value, 10, 64)
	return err
}

// takeHex takes exactly n hexadecimal digits in lower case.
func takeHex(n int) func(*Envelope, string) error {
	return func(_ *Envelope, value string) error {
		for i := 0; i < len(value); i++ {
			if !isDigit(value[i]) && (value[i] < 'a' || value[i] > 'f') {
				return &pathError{i, fmt.Errorf("not %d hexadecimal digits in lower case", n)}
			}
		}
		if len(value) != n {
			return fmt.Errorf("not %d hexadecimal digits in lower case", n)
		}
		return nil
	}
}

func takeAttempts(_ *Envelope, value string) error {
	if !number(value, 9) {
		return errors.New("not a number of attempts")
	}
	return nil
}

func takeTime(_ *Envelope, value string) error {
	if _, ok := parseTime(value); !ok {
		return fmt.Errorf("not a time in UTC: %.40q", value)
	}
	return nil
}

func takeSetAside(e *Envelope, value string) error {
	when, text, _ := strings.Cut(value, " ")
	if text == "" || text[0] == ' ' {
		return errors.New("no reason after the time and one space")
	}
	return takeTime(e, when)
}

// takeOutcome reads "<address> TIME text"; a delivery needs no text.
func takeOutcome(e *Envelope, status Status, value string) error {
	p, rest, at, err := splitPath(value)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(rest, " ") {
		return &pathError{at, errors.New("no time after the address")}
	}
	when, text, _ := strings.Cut(rest[1:], " ")
	t, ok := parseTime(when)
	if !ok {
		return &pathError{at + 1, fmt.Errorf("not a time in UTC: %.40q", when)}
	}
	if text == "" && status == StatusFailed || strings.HasPrefix(text, " ") {
		return &pathError{at + 1 + len(when), errors.New("no text after the time and one space")}
	}
	e.unassigned = append(e.unassigned, outcomeOf{address: p.Address, outcome: Outcome{Status: status, Time: t, Text: text}})
	return nil
}

// assignOutcomes gives the outcomes that were read to their recipients.
func (e *Envelope) assignOutcomes() error {
	for i := range e.unassigned {
		u := &e.unassigned[i]
		places := e.byAddress[u.address]
		if len(places) == 0 {
			return &lineError{u.line, fmt.Errorf("outcome of <%s>, which is no recipient", u.address)}
		}
		if e.recipients[places[0]].Outcome != nil {
			return &lineError{u.line, fmt.Errorf("second outcome of <%s>", u.address)}
		}
		for _, at := range places {
			e.recipients[at].Outcome = &u.outcome
		}
	}
	e.unassigned = nil
	return nil
}

// A lineError is a fault that is only seen at the end, of a line before it.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return e.err.Error() }
func (e *lineError) Unwrap() error { return e.err }
