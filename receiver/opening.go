package receiver

// The beginning of a content follows our Received field, and must not become a
// part of it.
const (
	mailboxFrom = "From "            // begins a message in a mailbox file
	mailboxLine = "X-Mailbox-Line: " // makes a field of such a line, as Postfix does
)

// write appends decoded octets to the draft.
func (c *content) write(out []byte) error {
	if !c.begun {
		n := len(c.first)
		c.first = append(c.first, out[:min(len(out), len(mailboxFrom)-n)]...)
		if string(c.first) == mailboxFrom[:len(c.first)] && len(c.first) < len(mailboxFrom) {
			return nil // the next octet decides
		}
		out = append(c.opening(), out[len(c.first)-n:]...)
	}
	if len(out) == 0 {
		return nil
	}
	_, err := c.draft.Write(out)
	return err
}

// opening returns the octets that were held back, behind what keeps them apart
// from our field: a blank or a tab would continue it, and so the body begins here.
func (c *content) opening() []byte {
	c.begun = true
	add := ""
	switch {
	case len(c.first) == 0:
	case c.first[0] == ' ', c.first[0] == '\t':
		add = "\n"
	case string(c.first) == mailboxFrom:
		add = mailboxLine
	}
	c.own += int64(len(add))
	return append([]byte(add), c.first...)
}

// writeEnd writes what is still due when the message is complete: octets that
// were held back, and the end of the last line, since BDAT may end in the middle
// of one.
func (c *content) writeEnd() error {
	var rest []byte
	if !c.begun {
		rest = c.opening()
	}
	if c.line > 0 {
		rest = append(rest, '\n')
	}
	if len(rest) == 0 {
		return nil
	}
	_, err := c.draft.Write(rest)
	return err
}
