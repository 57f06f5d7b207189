package receiver

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"syscall"

	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// maxReceived is how many Received fields make a mail loop: RFC 5321 6.3. Lines
// and headers may be as long as maxbytes allows.
const maxReceived = 100

// maxRefusedContent is how much of a message is read on after it was refused.
// Most clients listen only at its end, and would try again and again if they
// did not hear why.
const maxRefusedContent = 64 << 20

var errRefused = errors.New("refused, and does not end")

// A content is a message that is being received: what the decoder gives goes
// through the checks into a draft. After the first fault it only counts.
type content struct {
	s     *session
	d     decoder
	draft Draft
	own   int64 // octets that we added: they are not the client's
	spare int64 // octets that came after the fault
	fault *Reply

	unasked bool // a chunk where none may come; it is no message

	room   reservation // what is still to come
	unseen int64       // octets since the last look at the room that is left

	skip *skipper // not nil when the decoder has lost the lines

	begun bool   // the first octets are in the draft
	first []byte // those that are held back until then

	body      bool // the header is over
	line      int  // octets of the present line
	lineStart [len("Received:")]byte
	received  int
}

// newContent opens a draft, if there is room for a message of that size, and
// writes our trace field into it.
func (s *session) newContent(size int64, dots bool) *content {
	c := &content{s: s, d: decoder{dots: dots}}
	s.pace = newPace(s.MinRate, s.Timeout)
	if r := c.reserve(size); r.Code != 0 {
		c.fault = &r
		return c
	}
	draft, err := s.Spool.NewDraft()
	if err == nil {
		c.draft = draft
		_, err = draft.Write(s.receivedField(draft.ID()))
		c.own = draft.Size()
	}
	if err != nil {
		c.systemFault(eventNewMessage, err)
	}
	return c
}

func (c *content) fail(r Reply) {
	if c.fault == nil {
		c.fault = &r
		c.abort()
	}
}

// systemFault is a fault of ours: the client may try again.
func (c *content) systemFault(event string, err error) {
	c.s.trouble(event, err)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		c.fail(replyFull)
	} else {
		c.fail(replySystem)
	}
}

func (c *content) abort() {
	if c.room.all != nil {
		c.room.end()
	}
	if c.draft == nil {
		return
	}
	if err := c.draft.Abort(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.s.trouble(eventAbort, err)
	}
	c.draft = nil
}

// take decodes transmitted octets and keeps what they mean. It returns how
// many it used. An error means that the session cannot go on.
func (c *content) take(p []byte) (used int, err error) {
	var out []byte
	if c.skip != nil {
		used = c.skip.skip(p)
	} else if out, used, err = c.d.decode(p); err != nil {
		c.badLine(err)
	}
	if c.fault == nil {
		c.check(out)
	}
	if c.fault != nil {
		c.spare += int64(used)
		if c.spare > maxRefusedContent {
			return used, errRefused
		}
		return used, nil
	}
	if c.s.MaxBytes > 0 && c.draft.Size()-c.own+int64(len(out)) > c.s.MaxBytes {
		c.fail(replyTooBig)
	} else if err := c.write(out); err != nil {
		c.systemFault(eventWriteMessage, err)
	} else {
		c.wrote(int64(len(out)))
	}
	return used, nil
}

// badLine refuses a message whose line ends are uncertain, or that has NUL. It is
// read to its end; then the session is over.
func (c *content) badLine(err error) {
	c.s.alarm(eventBareLineInMessage)
	c.abort()
	fault := replyBareLine
	c.fault = &fault
	if !errors.Is(err, errNUL) {
		c.skip = &skipper{last: []byte(c.d.tail)}
	}
}

// ended tells whether the message of a DATA is complete.
func (c *content) ended() bool {
	return c.d.state == lineEnd || c.skip != nil && c.skip.ended
}

// check counts the Received fields of the header.
func (c *content) check(out []byte) {
	for line := range bytes.Lines(out) {
		copy(c.lineStart[min(c.line, len(c.lineStart)):], line)
		c.line += len(line)
		if line[len(line)-1] == '\n' {
			c.endLine()
		}
	}
}

func (c *content) endLine() {
	switch {
	case c.body:
	case c.line == 1:
		c.body = true
	case strings.EqualFold(string(c.lineStart[:]), "Received:"):
		c.received++
		if c.received > maxReceived {
			c.fail(replyLoop)
		}
	}
	c.line = 0
}

// finish commits the message or says why not.
func (c *content) finish() Reply {
	if c.fault != nil {
		return *c.fault
	}
	s := c.s
	if err := c.writeEnd(); err != nil {
		c.systemFault(eventWriteMessage, err)
		return *c.fault
	}
	e, err := s.envelope()
	if err != nil {
		c.systemFault(eventEnvelope, err)
		return *c.fault
	}
	size := c.draft.Size()
	if err := c.draft.Commit(e); err != nil {
		var failed *spoolfmt.CommitError
		if errors.As(err, &failed) && failed.Visible {
			// It will be delivered, but a power cut could lose it: the client
			// has to keep it. Twice is better than never.
			s.log.Warn(eventMayComeTwice, "id", c.draft.ID())
		}
		c.systemFault(eventCommit, err)
		return *c.fault
	}
	id := c.draft.ID()
	c.draft = nil
	c.room.end()
	s.accepted(size)
	s.log.Info(eventMessage, "id", id, "sender", s.sender.Address, "recipients", len(s.recipients), "size", size)
	if s.esmtp {
		return replyAcceptedAs(id)
	}
	return replyAccepted
}

// envelope is the message's, as the spool wants it.
func (s *session) envelope() (*envelope.Envelope, error) {
	e, err := envelope.New(s.sender, s.recipients)
	if err != nil {
		return nil, err
	}
	tls := ""
	if s.tls != nil {
		tls = s.tls.String()
	}
	for _, f := range []envelope.Field{
		{Name: "Received-At", Value: envelope.FormatTime(s.Now())},
		{Name: "Client-Address", Value: s.client.address()},
		{Name: "Client-Name", Value: s.client.Name},
		{Name: "Client-Ident", Value: envelope.CleanText(s.client.Ident, maxHeloName)},
		{Name: "Helo", Value: envelope.CleanText(s.heloName, maxHeloName)},
		{Name: "Protocol", Value: s.protocol()},
		{Name: "TLS", Value: tls},
	} {
		if err := e.Set(f.Name, f.Value); err != nil { // an empty value is none
			return nil, err
		}
	}
	return e, nil
}
