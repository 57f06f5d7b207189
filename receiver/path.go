package receiver

import (
	"errors"
	"net/netip"
	"strings"

	"smap/spoolfmt/envelope"
)

// parse reads the path and parameters of MAIL and RCPT, "FROM:<path> X=1".
// Forms that RFC 5321 does not allow are accepted where they are common and can
// be understood in one way only: blanks after the colon and between parameters,
// an address of one word without brackets, dots in odd places of a local part.
func (s *session) parse(arg, keyword string, syntax Reply) (envelope.Path, Reply) {
	n := min(len(keyword), len(arg))
	value, ok := withoutRoute(inBrackets(strings.TrimLeft(arg[n:], " ")))
	if !ok || !equal(keyword, arg[:n]) {
		return envelope.Path{}, syntax
	}
	value = quoteDots(value)
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
		return p, replySyntax(err).asFault()
	case len(p.Params) > 0 && !s.esmtp:
		return p, replyParamsHelo
	case !s.client.Relay && expands(p.Address):
		s.alarm(eventDangerousAddress, "address", p.Address)
		return p, replyExpands
	}
	return p, Reply{}
}

// inBrackets puts an address of one word into brackets.
func inBrackets(path string) string {
	word, params, more := strings.Cut(path, " ")
	if word == "" || strings.ContainsAny(word, "<>\"(),;:") {
		return path
	}
	if more {
		params = " " + params
	}
	return "<" + word + ">" + params
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

// quoteDots quotes a local part that ends in a dot or has two in a row, as some
// mobile phones in Japan have: "<a..b.@x>" is <"a..b."@x>.
func quoteDots(path string) string {
	address, rest, _ := strings.Cut(path[1:], ">")
	at := strings.LastIndexByte(address, '@')
	if at < 0 {
		return path
	}
	local := address[:at]
	odd := strings.HasSuffix(local, ".") || strings.Contains(local, "..")
	if !odd || local[0] == '.' || envelope.CheckAddress(strings.ReplaceAll(local, ".", "")) != nil || local[0] == '"' {
		return path
	}
	return `<"` + local + `"` + address[at:] + ">" + rest
}

// expands tells whether a local part begins an expansion of a shell or of Exim.
// Nothing of ours expands it, but a server behind us could, as Exim did in 2019.
// No honest address was seen that has it.
func expands(address string) bool {
	local, _ := envelope.SplitAddress(address)
	plain := envelope.UnquoteLocal(local)
	return strings.Contains(plain, "${") || strings.Contains(plain, "$(") || strings.Contains(plain, "`")
}

// badLiteral tells whether a domain is an address literal without an address.
func badLiteral(domain string) bool {
	literal, ok := strings.CutPrefix(domain, "[")
	if !ok {
		return false
	}
	literal = strings.TrimSuffix(literal, "]")
	const six = "IPv6:"
	if len(literal) > len(six) && equal(six, literal[:len(six)]) {
		a, err := netip.ParseAddr(literal[len(six):])
		return err != nil || !a.Is6() || a.Zone() != ""
	}
	a, err := netip.ParseAddr(literal)
	return err != nil || !a.Is4()
}

func (s *session) badAddress(keyword string, bad *envelope.AddressError) Reply {
	if bad.Dangerous() {
		s.alarm(eventDangerousAddress, "address", bad.Address)
	}
	if keyword == "FROM:" {
		return replyBadSender(bad.Reason)
	}
	return replyBadRcpt(bad.Reason)
}
