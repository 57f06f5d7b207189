package receiver

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"

	"smap/spoolfmt/envelope"
)

func (s *session) mail(arg string) Reply {
	if s.RequireTLS && s.tls == nil {
		return replyTLSFirst
	}
	p, r := s.parse(arg, "FROM:", replyMailSyntax)
	if r.Code != 0 {
		return r
	}
	size, r := s.mailParams(&p)
	if r.Code != 0 {
		return r
	}
	_, utf8 := p.Param("SMTPUTF8")
	if !utf8 && !ascii(arg) {
		return replyNeedUTF8
	}
	if r := s.room(size); r.Code != 0 {
		return r
	}
	s.sender, s.utf8, s.declared, s.phase = p, utf8, size, Sender
	s.log.Info(eventFrom, "sender", p.Address, "size", size)
	return replySender(p.Address)
}

// mailParams checks MAIL's parameters against what EHLO offers. SIZE is for us
// and stays here; the others go into the envelope.
func (s *session) mailParams(p *envelope.Path) (size int64, r Reply) {
	if err := envelope.CheckSenderParams(p.Params); err != nil {
		return 0, replySyntax(err).asFault()
	}
	kept := p.Params[:0]
	for _, x := range p.Params {
		offered := false
		switch strings.ToUpper(x.Keyword) {
		case "SIZE":
			n, err := strconv.ParseUint(x.Value, 10, 63)
			if err != nil && !errors.Is(err, strconv.ErrRange) {
				return 0, replySize
			}
			size = int64(min(n, math.MaxInt64))
			continue
		case "BODY":
			// What follows is lines, so BINARYMIME is not on offer.
			offered = !strings.EqualFold(x.Value, "BINARYMIME")
		case "SMTPUTF8":
			offered = s.OfferUTF8
		case "RET", "ENVID":
			offered = s.OfferDSN
		}
		if !offered {
			return 0, replyNotOffered(x.Keyword)
		}
		kept = append(kept, x)
	}
	p.Params = kept
	return size, Reply{}
}

// otherRoom is more than the envelope has besides its recipients: the other fields
// that we write, and what a drainer writes.
const otherRoom = envelope.DrainerRoom + 8*maxCommand

func (s *session) rcpt(arg string) Reply {
	if s.unused > maxUnused {
		return s.enough("recipients without a message")
	}
	p, r := s.recipient(arg)
	room := s.listed + envelope.RecipientRoom(p)
	switch {
	case r.Code != 0:
	case len(s.recipients) >= s.maxRecipients(), room > envelope.MaxSize-otherRoom:
		s.excess++
		r = replyManyRcpts
	default:
		if r = s.policy(p.Address); r.Code != 0 {
			s.slowDown()
		}
	}
	if r.Code != 0 {
		s.refused++
		s.refusedNow++
		if s.excess > maxExcess || s.refusedNow-s.excess > maxRefused {
			return s.enough("refused recipients")
		}
		return r
	}
	s.recipients, s.listed, s.phase = append(s.recipients, p), room, Rcpt
	s.log.Info(eventTo, "recipient", p.Address)
	return replyRecipient(p.Address)
}

// maxRecipients is how many recipients a message can have.
func (s *session) maxRecipients() int {
	if s.MaxRecip > 0 && s.MaxRecip < envelope.MaxRecipients {
		return s.MaxRecip
	}
	return envelope.MaxRecipients
}

// slowDown has a client wait that asks for many recipients whom we refuse. Those
// who guess addresses ask without a pause, and would take all of the processor's
// time from everybody else.
func (s *session) slowDown() {
	s.guesses++
	if s.guesses > freeGuesses {
		time.Sleep(guessPause)
	}
}

// recipient reads RCPT's argument and checks it against what EHLO offers.
func (s *session) recipient(arg string) (envelope.Path, Reply) {
	p, r := s.parse(arg, "TO:", replyRcptSyntax)
	switch {
	case r.Code != 0:
		return p, r
	case p.Address == "":
		return p, replyNullRcpt
	case !s.utf8 && !ascii(arg):
		return p, replyNeedUTF8
	}
	for _, x := range p.Params {
		if !s.OfferDSN || !equal("NOTIFY", x.Keyword) && !equal("ORCPT", x.Keyword) {
			return p, replyNotOffered(x.Keyword)
		}
	}
	if err := envelope.CheckRecipientParams(p.Params); err != nil {
		return p, replySyntax(err).asFault()
	}
	return p, Reply{}
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}
