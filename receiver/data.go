package receiver

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
)

func lineIn(p []byte) (n int, whole bool) {
	if i := bytes.IndexByte(p, '\n'); i >= 0 {
		return i + 1, true
	}
	return len(p), false
}

// data receives a message up to the line with a lone dot.
func (s *session) data(string) Reply {
	if r := s.room(0); r.Code != 0 {
		return r
	}
	c := s.newContent(true)
	if c.fault != nil {
		s.reset()
		return *c.fault
	}
	s.content = c
	if err := s.flushAfter(replyEnterMail); err != nil {
		return s.broken(err)
	}
	for c.d.state != lineEnd {
		if !s.in.waiting() {
			if err := s.more(c); err != nil {
				return s.broken(err)
			}
		}
		used, err := c.take(s.in.buf[s.in.r:s.in.w])
		if err != nil {
			return s.broken(err)
		}
		s.in.r += used
	}
	return s.endContent(c)
}

var errSlow = errors.New("below the minimum rate")

// more waits for octets of a content.
func (s *session) more(c *content) error {
	s.awaitContent()
	if err := s.in.fill(); err != nil {
		return err
	}
	if c.tooSlow() {
		return errSlow
	}
	return nil
}

// endContent ends the transaction with the message's reply.
func (s *session) endContent(c *content) Reply {
	r := c.finish()
	s.reset()
	return r
}

// broken ends a session in the middle of a message, which is not accepted.
func (s *session) broken(err error) Reply {
	s.reset()
	switch {
	case errors.Is(err, errBareLine):
		s.alarm("line without CR LF in a message")
		return replyBareLine
	case errors.Is(err, errSlow):
		return replyFor(421, "4.4.2", s.Hostname, " Too slow, closing connection").closing()
	case errors.Is(err, os.ErrDeadlineExceeded):
		return replyFor(421, "4.4.2", s.Hostname, " Timeout, closing connection").closing()
	}
	return replyFor(421, "4.4.2", s.Hostname, " Connection lost").closing()
}

// bdat receives a chunk of exactly the announced size (RFC 3030), which is read
// whatever the reply will be, since only so the next command is found.
func (s *session) bdat(arg string) Reply {
	word, last, _ := strings.Cut(arg, " ")
	isLast := strings.EqualFold(strings.TrimLeft(last, " "), "LAST")
	n, err := strconv.ParseUint(word, 10, 62)
	if err != nil || last != "" && !isLast || strings.HasPrefix(word, "+") {
		return replyBdatSyntax
	}
	var r Reply
	switch {
	case s.phase&(Rcpt|Chunks) == 0:
		r = s.outOfOrder("BDAT")
	case s.content == nil:
		if r = s.room(int64(n)); r.Code == 0 {
			s.content = s.newContent(false)
		}
	}
	c := s.content
	if r.Code != 0 {
		c = &content{s: s, fault: &r, start: s.Now()}
	}
	if err := s.chunk(c, int64(n)); err != nil {
		return s.broken(err)
	}
	switch {
	case isLast && c.d.state == lineCR:
		return s.broken(errBareLine)
	case isLast && r.Code == 0:
		return s.endContent(c)
	case c.fault != nil:
		r = *c.fault
		s.reset()
		return r
	}
	s.phase = Chunks
	return replyFor(250, "2.0.0", word, " octets received")
}

// chunk reads n octets of content.
func (s *session) chunk(c *content, n int64) error {
	for n > 0 {
		if !s.in.waiting() {
			if err := s.more(c); err != nil {
				return err
			}
		}
		p := s.in.buf[s.in.r:s.in.w]
		p = p[:min(int64(len(p)), n)]
		used, err := c.take(p)
		if err != nil {
			return err
		}
		s.in.r += used
		n -= int64(used)
	}
	return nil
}
