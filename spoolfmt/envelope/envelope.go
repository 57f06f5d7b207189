package envelope

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// A Field is one line of an envelope.
type Field struct{ Name, Value string }

// A Recipient is a path and its outcome, nil while it is pending.
type Recipient struct {
	Path
	Outcome *Outcome

	same int // the next place with this address, 0 for none
}

// An Envelope is a message's sender, its recipients and what is known of both:
// SPOOL-FORMAT.md, Envelope. It is used by one goroutine at a time.
type Envelope struct {
	fields     []Field
	sender     Path
	recipients []Recipient
	first      map[string]int // by address, the first place in recipients
	size       int64          // -1 while not set
}

// New returns an envelope without a size. It refuses what a reader would refuse.
func New(sender Path, recipients []Path) (*Envelope, error) {
	e := &Envelope{size: -1, first: make(map[string]int, len(recipients))}
	e.fields = make([]Field, 0, len(recipients)+12)
	e.fields = append(e.fields, Field{"Spool-Format", "1"})
	if err := e.add("Sender", sender.String(), takeSender); err != nil {
		return nil, err
	}
	if !samePath(e.sender, sender) {
		return nil, fmt.Errorf("Sender: %w", errDelimiter)
	}
	for i, r := range recipients {
		if err := e.add("Recipient", r.String(), takeRecipient); err != nil {
			return nil, err
		}
		if !samePath(e.recipients[i].Path, r) {
			return nil, fmt.Errorf("Recipient: %w", errDelimiter)
		}
	}
	if len(recipients) == 0 {
		return nil, errNoRecipient
	}
	return e, nil
}

var errDelimiter = errors.New("address or parameter contains a delimiter")

// samePath tells whether what was written is read as what was meant: an address
// such as "a@b> X=1" must not become another one with a parameter.
func samePath(read, meant Path) bool {
	return read.Address == meant.Address && slices.Equal(read.Params, meant.Params)
}

// add appends one of a new envelope's fields.
func (e *Envelope) add(name, value string, take func(*Envelope, string) error) error {
	err := checkField(name, value)
	if err == nil {
		err = take(e, value)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	e.fields = append(e.fields, Field{name, value})
	return nil
}

// Sender returns the SMTP sender; its address is empty for the null sender.
func (e *Envelope) Sender() Path { return e.sender }

// Recipients returns all recipients in the order of the file, with their
// outcomes.
func (e *Envelope) Recipients() []Recipient { return e.recipients }

// Pending returns the recipients without an outcome, each address once, with
// the parameters of its first field.
func (e *Envelope) Pending() []Path {
	var pending []Path
	for i, r := range e.recipients {
		if r.Outcome == nil && e.first[r.Address] == i {
			pending = append(pending, r.Path)
		}
	}
	return pending
}

// Size returns the octets of the content, -1 when it is not set yet.
func (e *Envelope) Size() int64 { return e.size }

// Fields returns all fields in their order, Spool-Format first.
func (e *Envelope) Fields() []Field { return slices.Clone(e.fields) }

// Get returns the value of the first field with that name, "" if there is none.
// The case of the name does not matter.
func (e *Envelope) Get(name string) string {
	for _, f := range e.fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// ReceivedAt returns when the message came, by its feeder's clock. It is the zero
// time if the feeder did not say.
func (e *Envelope) ReceivedAt() time.Time { return e.time("Received-At") }

// RequeuedAt returns when a person last requeued the message: its age counts from
// there. It is the zero time if nobody did.
func (e *Envelope) RequeuedAt() time.Time { return e.time("Requeued-At") }

func (e *Envelope) time(name string) time.Time {
	t, _ := parseTime(e.Get(name))
	return t
}
