package receiver

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"smap/spoolfmt/envelope"
)

// parse reads the path and parameters of MAIL and RCPT, "FROM:<path> X=1".
// Blanks after the colon and between parameters, which RFC 5321 does not allow,
// are harmless and not rare; Postfix and Exim accept them as well. An address
// without brackets is not: where it ends would be a guess.
func (s *session) parse(arg, keyword string, syntax Reply) (envelope.Path, Reply) {
	n := min(len(keyword), len(arg))
	value, ok := withoutRoute(strings.TrimLeft(arg[n:], " "))
	if !ok || !equal(keyword, arg[:n]) {
		return envelope.Path{}, syntax
	}
	end := strings.LastIndexByte(value, '>') // blanks before it may be the address's
	for strings.Contains(value[end:], "  ") {
		value = value[:end] + strings.ReplaceAll(value[end:], "  ", " ")
	}
	p, err := envelope.ParsePath(strings.Clone(value)) // it is kept; the line with all its blanks is not
	var bad *envelope.AddressError
	switch {
	case errors.As(err, &bad):
		return p, s.badAddress(keyword, bad)
	case err != nil:
		return p, replyFor(501, "5.5.4", err.Error()).asFault()
	case len(p.Params) > 0 && !s.esmtp:
		return p, replyFor(555, "5.5.4", "Parameters need EHLO").asFault()
	}
	return p, Reply{}
}

// withoutRoute takes the source route off, "<@a,@b:address>", which RFC 5321
// says to accept and ignore. It tells whether the path has brackets, and names
// in its route.
func withoutRoute(path string) (string, bool) {
	if !strings.HasPrefix(path, "<@") {
		return path, strings.HasPrefix(path, "<") && strings.Contains(path, ">")
	}
	route, rest, ok := strings.Cut(path[1:], ":")
	for hop := range strings.SplitSeq(route, ",") {
		ok = ok && strings.HasPrefix(hop, "@") && envelope.CheckAddress("x"+hop) == nil
	}
	return "<" + rest, ok && strings.Contains(rest, ">")
}

func (s *session) badAddress(keyword string, bad *envelope.AddressError) Reply {
	if bad.Dangerous() {
		s.alarm("dangerous address", "address", bad.Address)
	}
	enhanced := "5.1.3"
	if keyword == "FROM:" {
		enhanced = "5.1.7"
	}
	return replyFor(553, enhanced, "Bad address: ", bad.Reason)
}

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
	s.sender, s.utf8, s.phase = p, utf8, Sender
	s.log.Info("from", "sender", p.Address, "size", size)
	return replyFor(250, "2.1.0", "<", p.Address, ">... Sender Ok")
}

// mailParams checks MAIL's parameters against what EHLO offers. SIZE is for us
// and stays here; the others go into the envelope.
func (s *session) mailParams(p *envelope.Path) (size int64, r Reply) {
	if err := envelope.CheckSenderParams(p.Params); err != nil {
		return 0, replyFor(501, "5.5.4", err.Error()).asFault()
	}
	kept := p.Params[:0]
	for _, x := range p.Params {
		offered := false
		switch strings.ToUpper(x.Keyword) {
		case "SIZE":
			n, err := strconv.ParseUint(x.Value, 10, 63)
			if err != nil && !errors.Is(err, strconv.ErrRange) {
				return 0, replyFor(501, "5.5.4", "SIZE is not a number").asFault()
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
			return 0, replyFor(555, "5.5.4", "Parameter ", x.Keyword, " is not offered").asFault()
		}
		kept = append(kept, x)
	}
	p.Params = kept
	return size, Reply{}
}

// room tells whether a message of that size may come.
func (s *session) room(size int64) Reply {
	if s.MaxBytes > 0 && size > s.MaxBytes {
		return replyTooBig
	}
	if s.MinFree == 0 {
		return Reply{}
	}
	bytes, inodes, err := s.Spool.Free()
	if err != nil {
		s.trouble("statfs of the spool", err)
		return replySystem
	}
	if bytes < s.MinFree || bytes-s.MinFree < uint64(size) || inodes < minInodes {
		s.trouble("the spool is full", errFull)
		return replyFull
	}
	return Reply{}
}

// minInodes must be free: two for the message, and some for those beside it.
const minInodes = 64

var errFull = errors.New("less room than minfree")

// otherRoom is more than the envelope has besides its recipients: the other fields
// that we write, and what a drainer writes.
const otherRoom = envelope.DrainerRoom + 8*maxCommand

func (s *session) rcpt(arg string) Reply {
	p, r := s.recipient(arg)
	room := s.listed + envelope.RecipientRoom(p)
	switch {
	case r.Code != 0:
	case s.MaxRecip > 0 && len(s.recipients) >= s.MaxRecip, len(s.recipients) >= envelope.MaxRecipients,
		room > envelope.MaxSize-otherRoom:
		s.excess++
		r = replyManyRcpts
	default:
		r = s.policy(p.Address)
	}
	if r.Code != 0 {
		s.refused++
		if s.excess > maxExcess || s.refused-s.excess > maxRefused {
			return s.enough("refused recipients")
		}
		return r
	}
	s.recipients, s.listed, s.phase = append(s.recipients, p), room, Rcpt
	s.log.Info("to", "recipient", p.Address)
	return replyFor(250, "2.1.5", "<", p.Address, "> OK")
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
			return p, replyFor(555, "5.5.4", "Parameter ", x.Keyword, " is not offered").asFault()
		}
	}
	if err := envelope.CheckRecipientParams(p.Params); err != nil {
		return p, replyFor(501, "5.5.4", err.Error()).asFault()
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
