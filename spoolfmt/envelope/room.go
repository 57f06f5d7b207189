package envelope

// OutcomeRoom is more than one outcome adds to an envelope, the address aside:
// the name of the field, a time and a bounded text.
const OutcomeRoom = 320

// Room returns how many octets the envelope needs in the end, with an outcome
// for every pending recipient, and with the fields about attempts and a reason.
func (e *Envelope) Room() int64 {
	size := int64(MaxLine) // Attempts, Next-Attempt, Last-Error, Set-Aside
	for _, f := range e.fields {
		size += int64(len(f.Name) + len(f.Value) + len(": \n"))
	}
	for _, p := range e.Pending() {
		size += int64(len(p.Address)) + OutcomeRoom
	}
	return size
}
