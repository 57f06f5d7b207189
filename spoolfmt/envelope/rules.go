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

// ruleOf returns the rule of a field, and false for one that is unknown. It is a
// switch and not a map because smap would build the map at each start, for a
// handful of look-ups.
func ruleOf(name string) (rule fieldRule, known bool) {
	is := func(known string) bool { return strings.EqualFold(name, known) }
	switch {
	case is("Recipient"):
		return fieldRule{"Recipient", false, false, takeRecipient}, true
	case is("Sender"):
		return fieldRule{"Sender", true, false, takeSender}, true
	case is("Size"):
		return fieldRule{"Size", true, false, takeSize}, true
	case is("Delivered"), is("Failed"):
		return fieldRule{name, false, false, takeNothing}, true // see parser.outcome
	case is("Spool-Format"):
		return fieldRule{"Spool-Format", true, false, takeNothing}, true
	case is("CRC32C"):
		return fieldRule{"CRC32C", true, true, takeCRC32C}, true
	case is("SHA256"):
		return fieldRule{"SHA256", true, true, takeSHA256}, true
	case is("Attempts"):
		return fieldRule{"Attempts", true, true, takeAttempts}, true
	case is("Received-At"), is("Next-Attempt"), is("Requeued-At"):
		return fieldRule{name, true, true, takeTime}, true
	case is("Set-Aside"):
		return fieldRule{"Set-Aside", true, true, takeSetAside}, true
	case is("Last-Error"):
		return fieldRule{"Last-Error", true, true, takeLastError}, true
	case is("Client-Address"), is("Client-Name"), is("Client-Ident"), is("Helo"), is("Protocol"), is("TLS"):
		return fieldRule{name, true, true, takeNothing}, true
	}
	return fieldRule{}, false
}

// ofDrainer tells whether it is the drainer that writes a field.
func ofDrainer(name string) bool {
	for _, known := range [...]string{"Delivered", "Failed", "Attempts", "Next-Attempt", "Last-Error", "Set-Aside", "Requeued-At"} {
		if strings.EqualFold(name, known) {
			return true
		}
	}
	return false
}

func takeNothing(*Envelope, string) error { return nil }

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
		return errors.New("<> is not a recipient")
	case len(e.recipients) == MaxRecipients:
		return fmt.Errorf("more than %d recipients", MaxRecipients)
	}
	if err := CheckRecipientParams(p.Params); err != nil {
		return err
	}
	r, at := Recipient{Path: p}, len(e.recipients)
	if first, known := e.first[p.Address]; known {
		r.same, e.recipients[first].same = e.recipients[first].same, at
	} else {
		e.first[p.Address] = at
	}
	e.recipients = append(e.recipients, r)
	return nil
}

func takeSize(e *Envelope, value string) (err error) {
	if !number(value, 18) {
		return errors.New("not a number of octets")
	}
	e.size, err = strconv.ParseInt(value, 10, 64)
	return err
}

func takeCRC32C(_ *Envelope, value string) error { return checkHex(value, 8) }

func takeSHA256(_ *Envelope, value string) error { return checkHex(value, 64) }

// checkHex wants exactly n hexadecimal digits in lower case.
func checkHex(value string, n int) error {
	i := 0
	for i < len(value) && i < n && (isDigit(value[i]) || value[i] >= 'a' && value[i] <= 'f') {
		i++
	}
	if i < n || len(value) > n {
		return &valueError{i, fmt.Errorf("not %d hexadecimal digits in lower case", n)}
	}
	return nil
}

func takeAttempts(_ *Envelope, value string) error {
	if !number(value, 9) {
		return errors.New("not a number of attempts")
	}
	return nil
}

func takeTime(_ *Envelope, value string) error {
	if _, ok := parseTime(value); !ok {
		return notTime(value)
	}
	return nil
}

func notTime(value string) error { return fmt.Errorf("not a time in UTC: %.40q", value) }

func takeSetAside(e *Envelope, value string) error {
	when, reason, _ := strings.Cut(value, " ")
	if reason == "" || reason[0] == ' ' {
		return errors.New("no reason after the time and one space")
	}
	if err := takeTime(e, when); err != nil {
		return err
	}
	return takeLastError(e, value)
}

func takeLastError(_ *Envelope, value string) error {
	if len(value) > MaxDrainerText {
		return &valueError{MaxDrainerText, fmt.Errorf("more than %d octets", MaxDrainerText)}
	}
	return nil
}
