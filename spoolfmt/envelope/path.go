package envelope

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// A Param is an ESMTP parameter of MAIL or RCPT (RFC 5321 4.1.2).
type Param struct {
	Keyword  string
	Value    string
	HasValue bool
}

// A Path is an address with its parameters: the value of a Sender or Recipient
// field.
type Path struct {
	Address string // without brackets; empty is the null sender
	Params  []Param
}

// Param returns the value of a parameter, in whatever case it is written, and
// whether it is there.
func (p Path) Param(keyword string) (value string, ok bool) {
	for _, x := range p.Params {
		if strings.EqualFold(x.Keyword, keyword) {
			return x.Value, true
		}
	}
	return "", false
}

// String returns the path as a field's value.
func (p Path) String() string {
	if len(p.Params) == 0 {
		return "<" + p.Address + ">"
	}
	var b strings.Builder
	b.WriteString("<" + p.Address + ">")
	for _, x := range p.Params {
		b.WriteString(" " + x.Keyword)
		if x.HasValue {
			b.WriteString("=" + x.Value)
		}
	}
	return b.String()
}

// A pathError is a fault at a place in a value.
type pathError struct {
	offset int
	err    error
}

func (e *pathError) Error() string { return e.err.Error() }
func (e *pathError) Unwrap() error { return e.err }

// ParsePath reads the value of a Sender or Recipient field. It accepts the null
// path and any well-formed parameters; [CheckSenderParams] and
// [CheckRecipientParams] look at those that are known.
func ParsePath(value string) (Path, error) {
	p, rest, at, err := splitPath(value)
	if err != nil {
		return Path{}, err
	}
	var seen keywords
	for rest != "" {
		if rest[0] != ' ' {
			return Path{}, &pathError{at, fmt.Errorf("%+q where a space or the end should be", rest[:1])}
		}
		word, _, _ := strings.Cut(rest[1:], " ")
		param, err := parseParam(word)
		if err == nil && !seen.add(param.Keyword) {
			err = fmt.Errorf("parameter %s is repeated", param.Keyword)
		}
		if err != nil {
			return Path{}, &pathError{at + 1, err}
		}
		p.Params = append(p.Params, param)
		at += 1 + len(word)
		rest = rest[1+len(word):]
	}
	return p, nil
}

// keywords are those of one path. The first few stand in an array, which is
// all that honest mail needs; a line may hold a thousand, and comparing each
// with each took three seconds for an envelope of such lines, not a third of one.
type keywords struct {
	few  [8]string
	n    int
	many map[string]bool
}

// add tells whether a keyword is new.
func (k *keywords) add(keyword string) bool {
	for _, w := range k.few[:k.n] {
		if strings.EqualFold(w, keyword) {
			return false
		}
	}
	if k.n < len(k.few) {
		k.few[k.n] = keyword
		k.n++
		return true
	}
	if k.many == nil {
		k.many = make(map[string]bool)
	}
	key := strings.ToLower(keyword)
	known := k.many[key]
	k.many[key] = true
	return !known
}

// splitPath reads "<address>" and returns what follows and where that is.
func splitPath(value string) (p Path, rest string, at int, err error) {
	if !strings.HasPrefix(value, "<") {
		return p, "", 0, &pathError{0, errors.New(`no "<" before the address`)}
	}
	end := pathEnd(value)
	if end < 0 {
		return p, "", 0, &pathError{len(value), errors.New(`no ">" after the address`)}
	}
	p.Address = value[1:end]
	if p.Address != "" {
		if err := CheckAddress(p.Address); err != nil {
			offset := 1
			var bad *AddressError
			if errors.As(err, &bad) {
				offset += bad.Offset
			}
			return Path{}, "", 0, &pathError{offset, err}
		}
	}
	return p, value[end+1:], end + 1, nil
}

// pathEnd returns the place of the ">" that ends the address, or -1. A quoted
// local part and an address literal may hold a ">" too.
func pathEnd(value string) int {
	i := 1
	if i < len(value) && value[i] == '"' {
		for i++; i < len(value) && value[i] != '"'; i++ {
			if value[i] == '\\' {
				i++
			}
		}
	}
	for ; i < len(value); i++ {
		switch {
		case value[i] == '>':
			return i
		case value[i] == '[' && value[i-1] == '@':
			n := strings.IndexByte(value[i:], ']')
			if n < 0 {
				return -1
			}
			i += n
		}
	}
	return -1
}

func parseParam(word string) (Param, error) {
	keyword, value, has := strings.Cut(word, "=")
	for i := 0; i < len(keyword); i++ {
		if !alphanumeric(keyword[i]) && (keyword[i] != '-' || i == 0) {
			return Param{}, fmt.Errorf("bad parameter keyword %+.40q", keyword)
		}
	}
	if keyword == "" {
		return Param{}, errors.New("empty parameter")
	}
	for i := 0; i < len(value); i++ {
		if c := value[i]; c < 33 || c == '=' || c == 127 {
			return Param{}, fmt.Errorf("bad value of parameter %s", keyword)
		}
	}
	if has && value == "" || badText(value) >= 0 {
		return Param{}, fmt.Errorf("bad value of parameter %s", keyword)
	}
	return Param{Keyword: keyword, Value: value, HasValue: has}, nil
}

// A paramRule checks the value of one known parameter.
type paramRule struct {
	keyword string
	ok      func(Param) bool
}

func senderRules() []paramRule {
	return []paramRule{
		{"BODY", oneOf("7BIT", "8BITMIME", "BINARYMIME")},
		{"RET", oneOf("FULL", "HDRS")},
		{"ENVID", func(p Param) bool { return isXtext(p.Value, 100) }},
		{"SMTPUTF8", func(p Param) bool { return !p.HasValue }},
	}
}

func recipientRules() []paramRule {
	return []paramRule{
		{"NOTIFY", func(p Param) bool { return isNotify(p.Value) }},
		{"ORCPT", func(p Param) bool { return isORCPT(p.Value) }},
	}
}

// CheckSenderParams checks the values of BODY, RET, ENVID and SMTPUTF8; others
// pass.
func CheckSenderParams(params []Param) error { return checkParams(params, senderRules()) }

// CheckRecipientParams checks the values of NOTIFY and ORCPT (RFC 3461); others
// pass.
func CheckRecipientParams(params []Param) error { return checkParams(params, recipientRules()) }

func checkParams(params []Param, rules []paramRule) error {
	for _, p := range params {
		for _, r := range rules {
			if strings.EqualFold(p.Keyword, r.keyword) && !r.ok(p) {
				return fmt.Errorf("bad value of parameter %s: %+.100q", r.keyword, p.Value)
			}
		}
	}
	return nil
}

func oneOf(values ...string) func(Param) bool {
	return func(p Param) bool {
		for _, v := range values {
			if equalASCII(p.Value, v) {
				return true
			}
		}
		return false
	}
}

// equalASCII compares with an ASCII word without regard to case. Unicode folds
// characters of more than one octet to "k" and "s"; those are others here.
func equalASCII(s, word string) bool {
	return len(s) == len(word) && strings.EqualFold(s, word)
}

// isXtext is RFC 3461 4: printable ASCII but "+" and "=", and "+" with two
// upper-case hexadecimal digits for the rest.
func isXtext(s string, most int) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '+':
			if i+2 >= len(s) || !isHex(s[i+1]) || !isHex(s[i+2]) {
				return false
			}
			i += 2
		case c < 33 || c > 126 || c == '=':
			return false
		}
	}
	return s != "" && len(s) <= most
}

func isHex(c byte) bool { return isDigit(c) || c >= 'A' && c <= 'F' }

func isNotify(s string) bool {
	if equalASCII(s, "NEVER") {
		return true
	}
	var seen [3]bool
	for _, word := range strings.Split(s, ",") {
		i := slices.IndexFunc([]string{"SUCCESS", "FAILURE", "DELAY"}, func(w string) bool { return equalASCII(word, w) })
		if i < 0 || seen[i] {
			return false
		}
		seen[i] = true
	}
	return true
}

// isORCPT is atom ";" xtext; RFC 6533's utf-8-address goes beyond ASCII.
func isORCPT(s string) bool {
	kind, address, ok := strings.Cut(s, ";")
	if !ok || kind == "" || len(s) > 500 {
		return false
	}
	for i := 0; i < len(kind); i++ {
		if !isAtext(kind[i]) || kind[i] >= utf8.RuneSelf {
			return false
		}
	}
	if equalASCII(kind, "utf-8") {
		return address != ""
	}
	return isXtext(address, 500)
}
