package receiver

import (
	"errors"
	"strings"

	"smap/spoolfmt/envelope"
)

// ErrEnough is what [Config.Known] returns to a session that asks for too much.
var ErrEnough = errors.New("too many look-ups")

// policy decides whether this client may send to an address. Closed where no
// rule opens.
func (s *session) policy(address string) Reply {
	local, domain := envelope.SplitAddress(address)
	plain := envelope.UnquoteLocal(local)
	postmaster := equal("postmaster", plain)
	switch {
	case postmaster && (domain == "" || strings.EqualFold(domain, s.Hostname)): // RFC 5321 4.5.1
		return Reply{}
	case domain == "":
		return replyNoDomain
	case badLiteral(domain):
		return replyBadLiteral
	}
	if !s.Local(domain) {
		if s.client.Relay {
			return Reply{}
		}
		return s.noRelay(address, "local-domains "+domain+", or ")
	}
	// What other mailers take for a route to somewhere else.
	if !s.client.Relay && strings.ContainsAny(plain, "%!@:") {
		return s.noRelay(address, "")
	}
	if s.Known == nil || postmaster {
		return Reply{}
	}
	return s.lookUp(address, plain+"@"+domain)
}

// lookUp asks for an address as it is written and, where that differs, without
// quotes.
func (s *session) lookUp(address, plain string) Reply {
	if s.known == nil {
		s.known = s.Known()
	}
	known, err := s.known(address)
	if err == nil && !known && plain != address {
		known, err = s.known(plain)
	}
	switch {
	case errors.Is(err, ErrEnough):
		return s.enough("unknown recipients")
	case err != nil:
		s.trouble(eventRecipientsUnread, err)
		return replySystem
	case !known:
		return replyUnknownUser(address)
	}
	return Reply{}
}

// noRelay refuses a recipient elsewhere. The log says which rule would admit it,
// for administrators whose table is of a time when everybody could relay.
func (s *session) noRelay(address, rule string) Reply {
	r := replyNoRelay(address)
	r.rule = rule + "relay-hosts " + s.client.address()
	return r
}
