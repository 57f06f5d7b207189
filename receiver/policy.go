package receiver

import (
	"strings"

	"smap/spoolfmt"
)

// policy decides whether this client may send to an address. Closed where no
// rule opens.
func (s *session) policy(address string) Reply {
	local, domain := spoolfmt.SplitAddress(address)
	plain := spoolfmt.UnquoteLocal(local)
	postmaster := equal("postmaster", plain)
	switch {
	case domain == "" && postmaster: // RFC 5321 4.5.1
		return Reply{}
	case domain == "":
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
