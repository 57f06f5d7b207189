package receiver

import (
	"errors"
	"math"
	"strconv"
	"strings"

	"smap/spoolfmt"
)

// cutPath takes "FROM:<path> parameters" apart. The source route, which RFC
// 5321 says to accept and ignore, is taken off here.
func cutPath(arg, keyword string) (path, params string, ok bool) {
	if len(arg) < len(keyword) || !strings.EqualFold(arg[:len(keyword)], keyword) {
		return "", "", false
	}
	arg = strings.TrimLeft(arg[len(keyword):], " ")
	if !strings.HasPrefix(arg, "<") {
		return "", "", false
	}
	quoted := false
	for i := 1; i < len(arg); i++ {
		switch arg[i] {
		case '\\':
			if quoted {
				i++
			}
		case '"':
			quoted = !quoted
		case '>':
			if quoted {
				continue
			}
			path, params = arg[1:i], arg[i+1:]
			if params != "" && params[0] != ' ' {
				return "", "", false
			}
			return withoutRoute(path), params, true
		}
	}
	return "", "", false
}

func withoutRoute(path string) string {
	if strings.HasPrefix(path, "@") {
		if _, address, ok := strings.Cut(path, ":"); ok {
			return address
		}
	}
	return path
}

// path parses the path and parameters of MAIL and RCPT.
func (s *session) path(arg, keyword string, syntax Reply) (spoolfmt.Path, Reply) {
	address, params, ok := cutPath(arg, keyword)
	if !ok {
		return spoolfmt.Path{}, syntax
	}
	if address != "" {
		if err := spoolfmt.CheckAddress(address); err != nil {
			return spoolfmt.Path{}, s.badAddress(keyword, address, err)
		}
	}
	if params = strings.TrimRight(params, " "); params != "" && !s.esmtp {
		return spoolfmt.Path{}, replyFor(555, "5.5.4", "Parameters need EHLO").asFault()
	}
	for strings.Contains(params, "  ") {
		params = strings.ReplaceAll(params, "  ", " ")
	}
	p, err := spoolfmt.ParsePath("<>" + params)
	if err != nil {
		return spoolfmt.Path{}, replyFor(501, "5.5.4", err.Error()).asFault()
	}
	p.Address = address
	return p, Reply{}
}

func (s *session) badAddress(keyword, address string, err error) Reply {
	enhanced := "5.1.3"
	if keyword == "FROM:" {
		enhanced = "5.1.7"
	}
	var bad *spoolfmt.AddressError
	if errors.As(err, &bad) {
		if bad.Dangerous() {
			s.alarm("dangerous address", "address", address)
		}
		return replyFor(553, enhanced, "Bad address: ", bad.Reason)
	}
	return replyFor(553, enhanced, "Bad address")
}

func (s *session) mail(arg string) Reply {
	if s.RequireTLS && s.tls == nil {
		return replyTLSFirst
	}
	p, r := s.path(arg, "FROM:", replyMailSyntax)
	if r.Code != 0 {
		return r
	}
	size, r := s.mailParams(&p)
	if r.Code != 0 {
		return r
	}
	if !s.utf8 && !ascii(p.Address) {
		return replyNeedUTF8
	}
	if r := s.room(size); r.Code != 0 {
		s.utf8 = false
		return r
	}
	s.sender, s.phase = p, Sender
	s.log.Info("from", "sender", p.Address, "size", size)
	return replyFor(250, "2.1.0", "<", p.Address, ">... Sender Ok")
}

// mailParams checks MAIL's parameters against what EHLO offers. SIZE is for us
// and stays here; the others go into the envelope.
func (s *session) mailParams(p *spoolfmt.Path) (size int64, r Reply) {
	if err := spoolfmt.CheckSenderParams(p.Params); err != nil {
		return 0, replyFor(501, "5.5.4", err.Error()).asFault()
	}
	kept := p.Params[:0]
	utf8 := false
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
			offered, utf8 = s.OfferUTF8, s.OfferUTF8
		case "RET", "ENVID":
			offered = s.OfferDSN
		}
		if !offered {
			return 0, replyFor(555, "5.5.4", "Parameter ", x.Keyword, " is not offered").asFault()
		}
		kept = append(kept, x)
	}
	p.Params, s.utf8 = kept, utf8
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

func (s *session) rcpt(arg string) Reply {
	p, r := s.path(arg, "TO:", replyRcptSyntax)
	if r.Code == 0 {
		r = s.rcptParams(p)
	}
	if r.Code == 0 && s.MaxRecip > 0 && len(s.recipients) >= s.MaxRecip {
		return replyManyRcpts
	}
	if r.Code == 0 {
		r = s.policy(p.Address)
	}
	if r.Code != 0 {
		if s.refused++; s.refused > maxRefused {
			return replyFor(421, "4.7.0", s.Hostname, " Too many refused recipients").closing()
		}
		return r
	}
	s.recipients, s.phase = append(s.recipients, p), Rcpt
	s.log.Info("to", "recipient", p.Address)
	return replyFor(250, "2.1.5", "<", p.Address, "> OK")
}

func (s *session) rcptParams(p spoolfmt.Path) Reply {
	if p.Address == "" {
		return replyNullRcpt
	}
	if !s.utf8 && !ascii(p.Address) {
		return replyNeedUTF8
	}
	for _, x := range p.Params {
		if !s.OfferDSN || !strings.EqualFold(x.Keyword, "NOTIFY") && !strings.EqualFold(x.Keyword, "ORCPT") {
			return replyFor(555, "5.5.4", "Parameter ", x.Keyword, " is not offered").asFault()
		}
	}
	if err := spoolfmt.CheckRecipientParams(p.Params); err != nil {
		return replyFor(501, "5.5.4", err.Error()).asFault()
	}
	return Reply{}
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= 0x80 {
			return false
		}
	}
	return true
}

// policy decides whether this client may send to an address. Closed where no
// rule opens.
func (s *session) policy(address string) Reply {
	local, domain := spoolfmt.SplitAddress(address)
	plain := spoolfmt.UnquoteLocal(local)
	if domain == "" {
		if strings.EqualFold(plain, "postmaster") {
			return Reply{}
		}
		return replyNoDomain
	}
	if !s.Local(strings.ToLower(domain)) {
		if s.client.Relay {
			return Reply{}
		}
		return replyFor(550, "5.7.1", "<", address, ">... Relaying denied")
	}
	// What other mailers take for a route to somewhere else.
	if !s.client.Relay && strings.ContainsAny(plain, "%!@:") {
		return replyFor(550, "5.7.1", "<", address, ">... Relaying denied")
	}
	if s.Known == nil || strings.EqualFold(plain, "postmaster") {
		return Reply{}
	}
	known, err := s.Known(address)
	if err != nil {
		s.trouble("recipients", err)
		return replySystem
	}
	if !known {
		return replyFor(550, "5.1.1", "<", address, ">... User unknown")
	}
	return Reply{}
}
