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
		held := len(c.first)
		c.first = append(c.first, out[:min(len(out), len(mailboxFrom)-held)]...)
		if string(c.first) == mailboxFrom[:len(c.first)] && len(c.first) < len(mailboxFrom) {
			return nil // the next octet decides
		}
		if before := c.opening(); before != "" || held > 0 {
			out = append([]byte(before+string(c.first)), out[len(c.first)-held:]...)
		}
	}
	if len(out) == 0 {
		return nil
	}
	_, err := c.draft.Write(out)
	return err
}

// opening begins the content. It returns what keeps that apart from our field: a
// blank or a tab would continue it, and so the body begins here.
func (c *content) opening() (before string) {
	c.begun = true
	switch {
	case len(c.first) == 0:
	case c.first[0] == ' ', c.first[0] == '\t':
		before = "\n"
	case string(c.first) == mailboxFrom:
		before = mailboxLine
	}
	c.own += int64(len(before))
	return before
}

// writeEnd writes what is still due when the message is complete: octets that
// were held back, and the end of the last line, since BDAT may end in the middle
// of one.
func (c *content) writeEnd() error {
	var rest []byte
	if !c.begun {
		rest = []byte(c.opening() + string(c.first))
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
