package receiver

import (
	"strings"

	"smap/spoolfmt/envelope"
)

// policy decides whether this client may send to an address. Closed where no
// rule opens.
func (s *session) policy(address string) Reply {
	local, domain := envelope.SplitAddress(address)
	plain := envelope.UnquoteLocal(local)
	postmaster := equal("postmaster", plain)
	switch {
	case domain == "" && postmaster: // RFC 5321 4.5.1
		return Reply{}
	case domain == "":
		return replyNoDomain
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

// noRelay refuses a recipient elsewhere. The log says which rule would admit it,
// to whoever brings a table from times when everybody could relay.
func (s *session) noRelay(address, rule string) Reply {
	r := replyFor(550, "5.7.1", "<", address, ">... Relaying denied")
	r.rule = rule + "relay-hosts " + s.client.address()
	return r
}
