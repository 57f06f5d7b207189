package envelope

import "fmt"

// Limits of an envelope, in octets where nothing else is said.
const (
	MaxSize        = 4 << 20 // the file
	MaxLine        = 4096    // a line, with its LF
	MaxRecipients  = 5000    // Recipient fields
	MaxFields      = 1000    // fields besides Recipient and those of a drainer
	MaxParams      = 32      // parameters of a path
	MaxOutcomeText = 256     // the text of an outcome
	MaxDrainerText = 1200    // the values of Last-Error and Set-Aside
	maxName        = 64      // the name of a field
)

// What a feeder leaves room for: SPOOL-FORMAT.md, Room for outcomes.
const (
	DrainerRoom = 4096 // all that a drainer writes, but outcomes
	outcomeRoom = 320  // an outcome, without its address
)

// maxOurText bounds the text of our outcomes.
const maxOurText = 200

// RecipientRoom returns how many octets of an envelope a recipient takes: its
// field and, later, its outcome.
func RecipientRoom(p Path) int64 {
	return int64(len("Recipient: \n") + len(p.String()) + len(p.Address) + outcomeRoom)
}

// Room returns the most octets that the envelope can have in the end, whatever
// becomes of its recipients.
func (e *Envelope) Room() int64 {
	size := int64(len("\n") + DrainerRoom)
	for _, f := range e.fields {
		if !ofDrainer(f.Name) {
			size += int64(len(f.Name) + len(": \n") + len(f.Value))
		}
	}
	for _, r := range e.recipients {
		size += int64(len(r.Address) + outcomeRoom)
	}
	return size
}

// SpareFields returns how many fields of its own a program may still add.
func (e *Envelope) SpareFields() int {
	n := MaxFields + len(e.recipients)
	for _, f := range e.fields {
		if !ofDrainer(f.Name) {
			n--
		}
	}
	return n
}

// checkLimits checks what adding a field to a valid envelope can break.
func (e *Envelope) checkLimits() error {
	if e.SpareFields() < 0 {
		return errManyFields()
	}
	if n := e.Room(); n > MaxSize {
		return fmt.Errorf("no room for the outcomes: %d octets, at most %d", n, MaxSize)
	}
	return nil
}

func errManyFields() error {
	return fmt.Errorf("more than %d fields besides recipients and outcomes", MaxFields)
}
