package receiver

import (
	"errors"
	"math"
	"os"
	"strconv"
	"strings"
)

// data receives a message up to the line with a lone dot.
func (s *session) data(string) Reply {
	c := s.newContent(0, true)
	if c.fault != nil {
		return s.endContent(c)
	}
	s.content = c
	s.say(replyEnterMail)
	if s.loose != nil {
		s.loose.message()
	}
	for !c.ended() {
		if _, err := s.more(c, math.MaxInt64); err != nil {
			return s.broken(c, err)
		}
	}
	return s.endContent(c)
}

// bdat receives a chunk of exactly the announced size (RFC 3030), which is read
// whatever the reply will be, since only so the next command is found.
func (s *session) bdat(arg string) Reply {
	size, last, isLast := strings.Cut(arg, " ")
	announced, err := strconv.ParseUint(size, 10, 63)
	if err != nil || isLast && !equal("LAST", strings.TrimLeft(last, " ")) {
		return replyBdatSyntax
	}
	if s.loose != nil { // the octets that arrive are not those that were sent
		return replyNoBdat
	}
	n := int64(announced)
	c, ordered := s.content, s.phase&(Rcpt|Chunks) != 0
	switch {
	case (n == 0 && !isLast || !ordered) && s.tooIdle():
		return s.enough("commands without a message")
	case !ordered:
		r := s.outOfOrder("BDAT")
		c = &content{s: s, fault: &r, unasked: true}
		s.pace = newPace(s.MinRate, s.Timeout)
	case c == nil:
		c = s.newContent(n, false)
		s.content = c
	}
	for used := int64(0); n > 0; n -= used {
		if used, err = s.more(c, n); err != nil {
			return s.broken(c, err)
		}
	}
	switch {
	case isLast && c.d.state == lineCR && c.skip == nil:
		c.badLine(errBareLine)
		return s.endContent(c)
	case isLast || c.fault != nil:
		return s.endContent(c)
	}
	s.phase = Chunks
	return replyChunk(size)
}

var errSlow = errors.New("the client sends too slowly")

// more takes octets of a content, at most this many, and waits if none are
// here. It returns how many it used.
func (s *session) more(c *content, most int64) (int64, error) {
	if !s.in.waiting() {
		if err := s.await(); err != nil {
			return 0, err
		}
		if err := s.in.fill(); err != nil {
			return 0, err
		}
	}
	p := s.in.buf[s.in.r:s.in.w]
	used, err := c.take(p[:min(int64(len(p)), most)])
	s.in.r += used
	return int64(used), err
}

// endContent ends the transaction with the message's reply.
func (s *session) endContent(c *content) Reply {
	r := c.finish()
	s.reset()
	if r.Code >= 400 && !c.unasked {
		s.refused++
	}
	return r
}

// broken ends a session in the middle of a message, which is not accepted.
func (s *session) broken(c *content, err error) Reply {
	slow := errors.Is(err, os.ErrDeadlineExceeded) && s.pace.over()
	s.reset()
	if !c.unasked {
		s.refused++
	}
	switch {
	case c.fault != nil && c.fault.Close, errors.Is(err, errRefused):
		return c.fault.closing()
	case slow, errors.Is(err, errSlow):
		return replyTooSlow(s.Hostname)
	case errors.Is(err, os.ErrDeadlineExceeded):
		return replyTimeout(s.Hostname)
	}
	return replyLost(s.Hostname)
}
