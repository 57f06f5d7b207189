package envelope

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Limits of an address, in octets as it is written. RFC 5321 4.5.3.1 demands
// less.
const (
	MaxAddress   = 512
	MaxLocalPart = 256
	MaxDomain    = 255
	maxLabel     = 63
)

// An AddressError says why a string is not an address.
type AddressError struct {
	Address string
	Offset  int // of the octet at fault, from 0
	Reason  string

	dangerous bool
}

// Dangerous tells whether some mail program would take the address for something
// else: an option, a program, a file or a list.
func (e *AddressError) Dangerous() bool { return e.dangerous }

func (e *AddressError) Error() string {
	return fmt.Sprintf("address %.100q: %s", e.Address, e.Reason)
}

// CheckAddress returns an *[AddressError] for a string that is not an address of
// an envelope. An address is a mailbox of RFC 5321 4.1.2 with the UTF-8 of RFC
// 6531, or a local part alone, which is on this host. CheckAddress refuses
// dangerous ones: those whose local part, without quotes and backslashes, begins with "-", "|",
// "/" or ":include:".
func CheckAddress(address string) error {
	bad := func(offset int, format string, args ...any) error {
		return &AddressError{Address: address, Offset: offset, Reason: fmt.Sprintf(format, args...)}
	}
	if len(address) > MaxAddress {
		return bad(MaxAddress, "%d octets, at most %d are allowed", len(address), MaxAddress)
	}
	if i := badText(address); i >= 0 {
		return bad(i, "control character or invalid UTF-8 at octet %d", i+1)
	}
	n, reason := localPart(address)
	if reason != "" {
		return bad(n, "%s at octet %d", reason, n+1)
	}
	if n > MaxLocalPart {
		return bad(MaxLocalPart, "local part of %d octets, at most %d are allowed", n, MaxLocalPart)
	}
	if d := dangerous(address[:n]); d != "" {
		return &AddressError{Address: address, Reason: fmt.Sprintf("local part begins with %q", d), dangerous: true}
	}
	if n == len(address) {
		return nil
	}
	if i, reason := domain(address[n+1:]); reason != "" {
		return bad(n+1+i, "%s at octet %d", reason, n+1+i+1)
	}
	return nil
}

// localPart returns the end of the local part: the place of the '@', or the end.
// With a reason, it is the place of a fault.
func localPart(s string) (end int, reason string) {
	if s == "" {
		return 0, "empty local part"
	}
	if s[0] == '"' {
		return quotedLocalPart(s)
	}
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '@' || c == '.':
			if i == 0 || s[i-1] == '.' {
				return i, "empty atom in the local part"
			}
			if c == '@' {
				return i, ""
			}
		case !isAtext(c):
			return i, fmt.Sprintf("%q in the local part", c)
		}
	}
	if s[len(s)-1] == '.' {
		return len(s), "empty atom in the local part"
	}
	return len(s), ""
}

func quotedLocalPart(s string) (end int, reason string) {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			if i++; i < len(s) && s[i] >= utf8.RuneSelf {
				return i, "backslash before a character that is not ASCII"
			}
		case '"':
			if i++; i < len(s) && s[i] != '@' {
				return i, "text after the quoted string"
			}
			return i, ""
		}
	}
	return len(s), "quoted string without end"
}

// isAtext is atext of RFC 5322, and RFC 6531's characters beyond ASCII.
func isAtext(c byte) bool {
	return alphanumeric(c) || c >= utf8.RuneSelf || strings.IndexByte("!#$%&'*+-/=?^_`{|}~", c) >= 0
}

// domain returns why a string is neither a domain nor an address literal, and
// where. The reason is empty when it is one.
func domain(s string) (at int, reason string) {
	if strings.HasPrefix(s, "[") {
		for i := 1; i < len(s); i++ {
			switch c := s[i]; {
			case c == ']' && i == len(s)-1 && i > 1:
				return 0, ""
			case c < 33 || c > 126 || strings.IndexByte(`<>@[\]`, c) >= 0:
				return i, "bad address literal"
			}
		}
		return len(s), "address literal without end"
	}
	if len(s) > MaxDomain {
		return MaxDomain, fmt.Sprintf("domain of more than %d octets", MaxDomain)
	}
	for at <= len(s) {
		label, _, _ := strings.Cut(s[at:], ".")
		switch i := badLabel(label); {
		case label == "":
			return at, "empty label in the domain"
		case i >= 0:
			return at + i, "bad character in the domain"
		case len(label) > maxLabel:
			return at + maxLabel, fmt.Sprintf("label of more than %d octets", maxLabel)
		}
		at += len(label) + 1
	}
	return 0, ""
}

// badLabel returns the place of the first octet that no label contains, or -1.
func badLabel(label string) int {
	for i := 0; i < len(label); i++ {
		c := label[i]
		edge := i == 0 || i == len(label)-1
		if !alphanumeric(c) && c != '_' && c < utf8.RuneSelf && (c != '-' || edge) {
			return i
		}
	}
	return -1
}

// dangerous returns the dangerous beginning of a local part, or "". A program that
// takes backslashes off twice must not find one either: none of them counts.
func dangerous(local string) string {
	plain := strings.ReplaceAll(strings.TrimPrefix(local, `"`), `\`, "")
	for _, d := range []string{"-", "|", "/"} {
		if strings.HasPrefix(plain, d) {
			return d
		}
	}
	const include = ":include:"
	if len(plain) >= len(include) && strings.EqualFold(plain[:len(include)], include) {
		return include
	}
	return ""
}

// SplitAddress splits an address that CheckAddress accepts into its local part,
// as written, and its domain. The domain is empty if the address has none.
func SplitAddress(address string) (local, domain string) {
	n, reason := localPart(address)
	if reason != "" || n == len(address) {
		return address, ""
	}
	return address[:n], address[n+1:]
}

// UnquoteLocal returns a local part without its quotes and backslashes.
func UnquoteLocal(local string) string {
	if strings.IndexByte(local, '"') < 0 && strings.IndexByte(local, '\\') < 0 {
		return local
	}
	plain := make([]byte, 0, len(local))
	for i := 0; i < len(local); i++ {
		switch c := local[i]; {
		case c == '"':
		case c == '\\' && i+1 < len(local):
			i++
			plain = append(plain, local[i])
		default:
			plain = append(plain, c)
		}
	}
	return string(plain)
}
