package netperm

import (
	"errors"
	"net/netip"
	"strings"
)

// A Host is a client to be matched.
type Host struct {
	Addr netip.Addr // IPv4-mapped IPv6 addresses count as IPv4
	Name string     // a reverse name that resolves back to Addr; "" when there is none or nobody looked
}

// A Pattern matches hosts. The zero Pattern matches none.
type Pattern struct {
	text   string
	kind   patternKind
	prefix netip.Prefix // patPrefix
	glob   string       // patIPv4, patName
}

type patternKind uint8

const (
	patNone patternKind = iota
	patAll
	patPrefix
	patIPv4 // glob on an IPv4 address as text
	patName // glob on the verified name
)

// ParsePattern reads a host pattern. These are patterns:
//
//   - every host
//     192.0.2.1          an address
//     192.0.2.*          the Toolkit's glob on the address as text: "*" is any text
//     192.0.2.0/24       a network; no bit behind the prefix may be set
//     2001:db8::1        an IPv6 address
//     2001:db8::/32      an IPv6 network
//     2001:db8:*         the same network: whole groups, then one "*"
//     mail.example.com   a name, in any case
//     *.example.com      names below example.com, but not example.com itself
//     unknown            hosts without a verified name
//
// As in the Toolkit, a pattern of only digits, dots and "*" is for addresses.
// IPv4-mapped IPv6 addresses and networks are IPv4. A name counts only if it
// resolves back to the address, which the caller checks; otherwise the name is
// "unknown". A host whose verified name is "unknown" also matches unknown.
func ParsePattern(s string) (Pattern, error) {
	switch {
	case s == "":
		return Pattern{}, errors.New("an empty host pattern")
	case s == "*":
		return Pattern{text: s, kind: patAll}, nil
	case strings.IndexByte(s, '/') >= 0:
		return parseCIDR(s)
	case strings.IndexByte(s, ':') >= 0:
		return parseIPv6(s)
	case strings.Trim(s, "0123456789.*") == "":
		return parseIPv4(s)
	}
	return parseName(s)
}

func parseCIDR(s string) (Pattern, error) {
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return Pattern{}, errors.New(quoted(s) + " is not an address with a prefix length")
	}
	if p.Addr().Is4In6() {
		if p.Bits() < 96 {
			return Pattern{}, errors.New(quoted(s) + " covers more than IPv4 addresses; write an IPv4 network as 192.0.2.0/24")
		}
		p = netip.PrefixFrom(p.Addr().Unmap(), p.Bits()-96)
	}
	if p.Masked() != p {
		return Pattern{}, errors.New(quoted(s) + " has bits set behind the prefix; did you mean " + p.Masked().String() + "?")
	}
	return Pattern{text: s, kind: patPrefix, prefix: p}, nil
}

func parseIPv6(s string) (Pattern, error) {
	if base, ok := strings.CutSuffix(s, ":*"); ok {
		groups := 1 + strings.Count(base, ":")
		fill := "::"
		if groups == 7 {
			fill = ":0"
		}
		addr, err := netip.ParseAddr(base + fill)
		if err != nil || groups > 7 || strings.Contains(base, "::") || strings.Contains(base, ".") {
			return Pattern{}, errors.New(quoted(s) + ": an IPv6 pattern is whole groups and one \"*\", or a prefix (2001:db8::/32)")
		}
		return Pattern{text: s, kind: patPrefix, prefix: netip.PrefixFrom(addr, 16*groups)}, nil
	}
	addr, err := netip.ParseAddr(s)
	switch {
	case strings.IndexByte(s, '*') >= 0:
		return Pattern{}, errors.New(quoted(s) + ": an IPv6 pattern is whole groups and one \"*\", or a prefix (2001:db8::/32)")
	case err != nil:
		return Pattern{}, errors.New(quoted(s) + " is not an IPv6 address")
	case addr.Zone() != "":
		return Pattern{}, errors.New(quoted(s) + ": write the address without its zone")
	}
	addr = addr.Unmap()
	return Pattern{text: s, kind: patPrefix, prefix: netip.PrefixFrom(addr, addr.BitLen())}, nil
}

func parseIPv4(s string) (Pattern, error) {
	if strings.IndexByte(s, '*') < 0 {
		addr, err := netip.ParseAddr(s)
		if err != nil {
			return Pattern{}, errors.New(quoted(s) + " is not a whole IPv4 address; a network is written 192.0.2.* or 192.0.2.0/24")
		}
		return Pattern{text: s, kind: patPrefix, prefix: netip.PrefixFrom(addr, 32)}, nil
	}
	rest, parts := s, 0
	for rest != "" || parts == 0 {
		part, tail, more := strings.Cut(rest, ".")
		parts++
		rest = tail
		hasStar := strings.IndexByte(part, '*') >= 0
		if !hasStar && !isOctet(part) || more && tail == "" || parts > 4 {
			return Pattern{}, errors.New(quoted(s) + " cannot match any IPv4 address")
		}
	}
	return Pattern{text: s, kind: patIPv4, glob: s}, nil
}

// isOctet reports whether s is a number from 0 to 255 as addresses have it.
func isOctet(s string) bool {
	if s == "" || len(s) > 3 || len(s) > 1 && s[0] == '0' {
		return false
	}
	n := 0
	for i := 0; i < len(s); i++ {
		n = n*10 + int(s[i]-'0')
	}
	return n <= 255
}

func parseName(s string) (Pattern, error) {
	if s[0] == '.' {
		return Pattern{}, errors.New(quoted(s) + " begins with a dot; subdomains are written " + printablePattern("*"+s))
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; !isAlnum(c) && c != '-' && c != '_' && c != '.' && c != '*' {
			return Pattern{}, errors.New(quoted(s) + " is neither an address nor a host name")
		}
	}
	if s[0] == '-' || strings.Contains(s, "..") {
		return Pattern{}, errors.New(quoted(s) + " is neither an address nor a host name")
	}
	if len(s) > 255 {
		return Pattern{}, errors.New(quoted(s) + " is too long for a host name")
	}
	return Pattern{text: s, kind: patName, glob: strings.TrimSuffix(strings.ToLower(s), ".")}, nil
}

// printablePattern quotes a pattern that could forge a line of a log.
func printablePattern(s string) string {
	if textFault(s) != "" || len(s) > 80 {
		return quoted(s)
	}
	return s
}

// String is the pattern as it was written.
func (p Pattern) String() string { return p.text }

// IsName reports whether the pattern is matched against the verified name, so
// that a caller knows whether looking it up is worth while.
func (p Pattern) IsName() bool { return p.kind == patName }

// everybody reports whether the pattern matches every host of a family.
func (p Pattern) everybody() bool {
	return p.kind == patAll || p.kind == patPrefix && p.prefix.Bits() == 0
}

// Match reports whether the pattern matches the host.
func (p Pattern) Match(h Host) bool {
	switch p.kind {
	case patAll:
		return true
	case patPrefix:
		return p.prefix.Contains(h.Addr.Unmap().WithZone(""))
	case patIPv4:
		addr := h.Addr.Unmap()
		if !addr.Is4() {
			return false
		}
		var buf [16]byte
		return globMatch(p.glob, string(addr.AppendTo(buf[:0])))
	case patName:
		name := strings.TrimSuffix(h.Name, ".")
		if name == "" {
			name = "unknown"
		}
		return globMatch(p.glob, name)
	}
	return false
}

// globMatch matches "*" against any run of octets, and all else, without regard
// to the case of ASCII letters in s; the pattern is in lower case. It takes time
// proportional to the product of the lengths, whatever the pattern.
func globMatch(pattern, s string) bool {
	star, mark := -1, 0
	p, i := 0, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && pattern[p] == toLower(s[i]):
			p++
			i++
		case star >= 0:
			mark++
			p, i = star+1, mark
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}
