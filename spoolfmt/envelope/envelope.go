package envelope

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Limits of an envelope, in octets where they are not of fields.
const (
	MaxSize       = 4 << 20 // a whole file
	MaxLine       = 4096    // with its LF
	MaxRecipients = 5000
	maxName       = 64
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

// A Recipient is a path and, once there is one, its outcome.
type Recipient struct {
	Path
	Outcome *Outcome
}

// A Field is one line of an envelope.
type Field struct{ Name, Value string }

// An Envelope is a message's sender, its recipients and what is known of both:
// SPOOL-FORMAT.md, Envelope. It keeps every field in its place, so that what
// was parsed is written again octet for octet.
type Envelope struct {
	fields     []Field
	sender     Path
	recipients []Recipient
	byAddress  map[string][]int // places in recipients
	size       int64            // -1 while not set
	unassigned []outcomeOf      // read, but not yet given to their recipients
}

type outcomeOf struct {
	address string
	line    int // in the file, 0 when it is not from one
	outcome Outcome
}

// New returns an envelope without a size. It refuses what a reader
// would refuse.
func New(sender Path, recipients []Path) (*Envelope, error) {
	e := &Envelope{size: -1, byAddress: make(map[string][]int, len(recipients))}
	e.fields = make([]Field, 0, len(recipients)+12)
	e.fields = append(e.fields, Field{"Spool-Format", "1"})
	if err := e.add("Sender", sender.String()); err != nil {
		return nil, err
	}
	if !samePath(e.sender, sender) {
		return nil, fmt.Errorf("Sender: %w", errNoPath)
	}
	for i, r := range recipients {
		if err := e.add("Recipient", r.String()); err != nil {
			return nil, err
		}
		if !samePath(e.recipients[i].Path, r) {
			return nil, fmt.Errorf("Recipient: %w", errNoPath)
		}
	}
	if len(recipients) == 0 {
		return nil, errNoRecipient
	}
	return e, nil
}

var (
	errNoRecipient = errors.New("no Recipient field")
	errNoSender    = errors.New("no Sender field")
	errNoSize      = errors.New("no Size field")
	errNoPath      = errors.New("address or parameter holds a delimiter")
)

// samePath tells whether what was written is read as what was meant: an address
// such as "a@b> X=1" must not become another one with a parameter.
func samePath(read, meant Path) bool {
	return read.Address == meant.Address && slices.Equal(read.Params, meant.Params)
}

// add appends one of a new envelope's fields and takes in what it says.
func (e *Envelope) add(name, value string) error {
	if err := checkField(name, value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := knownField(name).take(e, value); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	e.fields = append(e.fields, Field{name, value})
	return nil
}

// checkField checks what every field has to satisfy.
func checkField(name, value string) error {
	if badFieldName(name) >= 0 {
		return &pathError{0, fmt.Errorf("bad field name %.70q", name)}
	}
	if err := checkValue(value); err != nil {
		return err
	}
	if len(name)+len(": \n")+len(value) > MaxLine {
		return &pathError{0, fmt.Errorf("line of more than %d octets", MaxLine)}
	}
	return nil
}

// checkValue checks what every value has to satisfy.
func checkValue(value string) error {
	if i := badText(value); i >= 0 {
		return &pathError{i, fmt.Errorf("control character or invalid UTF-8: %q", value[i:min(i+1, len(value))])}
	}
	if value == "" || value[0] == ' ' || value[len(value)-1] == ' ' {
		return &pathError{0, errors.New("empty value, or space at its beginning or end")}
	}
	return nil
}

// badFieldName returns the place of the first octet that may not stand in a
// field's name, or -1.
func badFieldName(name string) int {
	for i := 0; i < len(name); i++ {
		if !isLetter(name[i]) && (i == 0 || !isDigit(name[i]) && name[i] != '-') {
			return i
		}
	}
	if name == "" || len(name) > maxName {
		return min(len(name), maxName)
	}
	return -1
}

func (e *Envelope) has(name string) bool {
	return slices.ContainsFunc(e.fields, func(f Field) bool { return strings.EqualFold(f.Name, name) })
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
		if r.Outcome == nil && e.byAddress[r.Address][0] == i {
			pending = append(pending, r.Path)
		}
	}
	return pending
}

// Size returns the octets of the content, -1 when it is not set yet.
func (e *Envelope) Size() int64 { return e.size }

// SetSize sets the octets of the content.
func (e *Envelope) SetSize(n int64) {
	e.size = n
	e.put("Size", strconv.FormatInt(n, 10))
}

// Get returns the value of the first field of that name, in whatever case, and
// "" when there is none.
func (e *Envelope) Get(name string) string {
	for _, f := range e.fields {
		if strings.EqualFold(f.Name, name) {
			return f.Value
		}
	}
	return ""
}

// Set replaces the value of a single or unknown field, or adds the field; an
// empty value removes it. Sender, Recipient, Size and the outcomes have other
// ways in. It refuses what a reader would refuse.
func (e *Envelope) Set(name, value string) error {
	f := knownField(name)
	if f != nil && !f.settable {
		return fmt.Errorf("field %s cannot be set", f.name)
	}
	if value == "" {
		e.remove(name)
		return nil
	}
	if err := checkField(name, value); err != nil {
		return fmt.Errorf("field %.70s: %w", name, err)
	}
	if f != nil {
		if err := f.take(e, value); err != nil {
			return fmt.Errorf("field %s: %w", f.name, err)
		}
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

// Fields returns all fields in their order, Spool-Format first.
func (e *Envelope) Fields() []Field { return slices.Clone(e.fields) }

// SetOutcome says what became of a recipient, for good: an address has one
// outcome, ever. Its text is made to fit.
func (e *Envelope) SetOutcome(address string, o Outcome) error {
	name := "Delivered"
	if o.Status == StatusFailed {
		name = "Failed"
		if o.Text == "" {
			o.Text = "failed"
		}
	} else if o.Status != StatusDelivered {
		return fmt.Errorf("outcome of <%s>: status %d", address, o.Status)
	}
	if len(e.byAddress[address]) == 0 { // also what is no address at all
		return fmt.Errorf("outcome of <%.100s>, which is no recipient", address)
	}
	value := "<" + address + "> " + FormatTime(o.Time)
	if text := CleanText(o.Text, maxOutcomeText); text != "" {
		value += " " + text
	}
	err := checkField(name, value)
	if err == nil {
		err = takeOutcome(e, o.Status, value)
	}
	if err == nil {
		err = e.assignOutcomes()
	}
	if err != nil {
		e.unassigned = nil
		return fmt.Errorf("outcome of <%s>: %w", address, err)
	}
	e.fields = append(e.fields, Field{name, value})
	return nil
}

// maxOutcomeText bounds the words of an outcome, so that an envelope of many
// recipients has room for all of theirs.
const maxOutcomeText = 200

// SetChecksum sets the CRC32C of the content: see [ChecksumTable].
func (e *Envelope) SetChecksum(crc uint32) { e.put("CRC32C", fmt.Sprintf("%08x", crc)) }

// ReceivedAt returns when the message came, by its feeder's clock; the zero time
// when the feeder did not say.
func (e *Envelope) ReceivedAt() time.Time { return e.time("Received-At") }

// RequeuedAt returns when a person sent the message on its way again; the zero
// time when nobody did. From then on it is as old as if it had come then.
func (e *Envelope) RequeuedAt() time.Time { return e.time("Requeued-At") }

func (e *Envelope) time(name string) time.Time {
	t, _ := parseTime(e.Get(name))
	return t
}

// Requeue makes an envelope ready for a new life: failures and everything about
// attempts go, deliveries stay, and its age counts from now.
func (e *Envelope) Requeue(now time.Time) {
	e.remove("Failed", "Attempts", "Next-Attempt", "Last-Error", "Set-Aside")
	for i := range e.recipients {
		if o := e.recipients[i].Outcome; o != nil && o.Status == StatusFailed {
			e.recipients[i].Outcome = nil
		}
	}
	e.put("Requeued-At", FormatTime(now))
}
