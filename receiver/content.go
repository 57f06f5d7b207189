package receiver

import (
	"bytes"
	"errors"
	"io/fs"
	"strings"
	"syscall"
	"time"

	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// Limits of a content. The first is RFC 5321's 1000 many times over; the second
// is what the single-file drop of the spool format allows, too.
const (
	maxTextLine = 64 << 10
	maxHeader   = 1 << 20
	maxReceived = 100 // RFC 5321 6.3
)

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
	own   int64 // octets of our Received field, which are not the client's
	start time.Time
	raw   int64 // octets as transmitted
	spare int64 // of them, those after the fault
	fault *Reply

	body     bool // the header is over
	header   int  // octets of it
	line     int  // octets of the present line
	begin    [9]byte
	received int
}

// newContent opens a draft, if there is room for so many octets, and writes our
// trace field into it.
func (s *session) newContent(size int64, dots bool) *content {
	c := &content{s: s, d: decoder{dots: dots}, start: time.Now()}
	if r := s.room(size); r.Code != 0 {
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
		c.systemFault("new message", err)
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
func (c *content) systemFault(what string, err error) {
	c.s.trouble(what, err)
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		c.fail(replyFull)
	} else {
		c.fail(replySystem)
	}
}

func (c *content) abort() {
	if c.draft == nil {
		return
	}
	if err := c.draft.Abort(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.s.trouble("abort", err)
	}
	c.draft = nil
}

// take decodes transmitted octets and keeps what they stand for. It returns how
// many it used. An error means that the session cannot go on.
func (c *content) take(p []byte) (used int, err error) {
	out, used, err := c.d.decode(p)
	if err != nil {
		return used, err
	}
	c.raw += int64(used)
	if c.fault != nil {
		if c.spare += int64(used); c.spare > maxRefusedContent {
			return used, errRefused
		}
		return used, nil
	}
	c.check(out)
	if c.fault == nil && c.s.MaxBytes > 0 && c.draft.Size()-c.own+int64(len(out)) > c.s.MaxBytes {
		c.fail(replyTooBig)
	}
	if c.fault == nil {
		if _, err := c.draft.Write(out); err != nil {
			c.systemFault("write message", err)
		}
	}
	return used, nil
}

// check looks at line lengths, and at the header's size and Received fields.
func (c *content) check(out []byte) {
	for line := range bytes.Lines(out) {
		if !c.body {
			c.header += len(line)
			copy(c.begin[min(c.line, len(c.begin)):], line)
		}
		if c.line += len(line); c.line > maxTextLine {
			c.fail(replyTextLine)
			return
		}
		if line[len(line)-1] == '\n' {
			c.endLine()
		}
	}
	if c.header > maxHeader {
		c.fail(replyHeader)
	}
}

func (c *content) endLine() {
	if !c.body {
		if c.line == 1 {
			c.body = true
		} else if c.line >= len(c.begin) && strings.EqualFold(string(c.begin[:]), "Received:") {
			if c.received++; c.received > maxReceived {
				c.fail(replyLoop)
			}
		}
	}
	c.line = 0
}

// tooSlow tells whether the client sends less than the minimum rate, after a
// time that lets any connection start.
func (c *content) tooSlow() bool {
	const grace = 30 * time.Second
	lasted := time.Since(c.start)
	return c.s.MinRate > 0 && lasted > min(grace, max(c.s.Timeout, time.Second)) &&
		float64(c.raw) < float64(c.s.MinRate)*lasted.Seconds()
}

// finish commits the message or says why not.
func (c *content) finish() Reply {
	if c.fault != nil {
		return *c.fault
	}
	s := c.s
	if c.line > 0 { // BDAT may end in the middle of a line
		if _, err := c.draft.Write([]byte{'\n'}); err != nil {
			c.systemFault("write message", err)
			return *c.fault
		}
	}
	e, err := s.envelope()
	if err != nil {
		c.systemFault("envelope", err)
		return *c.fault
	}
	size := c.draft.Size()
	if err := c.draft.Commit(e); err != nil {
		var failed *spoolfmt.CommitError
		if errors.As(err, &failed) && failed.Visible {
			// It will be delivered, but a power cut could lose it: the client
			// has to keep it. Twice is better than never.
			s.log.Warn("message may come twice", "id", c.draft.ID())
		}
		c.systemFault("commit", err)
		return *c.fault
	}
	id := c.draft.ID()
	c.draft = nil
	s.messages, s.octets, s.idle, s.since = s.messages+1, s.octets+size, 0, time.Now()
	s.log.Info("message", "id", id, "sender", s.sender.Address, "recipients", len(s.recipients), "size", size)
	if s.esmtp {
		return replyFor(250, "2.0.0", "Mail accepted, id ", id)
	}
	return replyFor(250, "", "Mail accepted")
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
