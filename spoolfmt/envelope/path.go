package envelope

import (
	"errors"
	"fmt"
	"slices"
	"strings"
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

// Param returns the value of a parameter and whether the path has it. The case of
// the keyword does not matter.
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

// ParsePath reads the value of a Sender or Recipient field. It accepts the null
// path and any well-formed parameters; [CheckSenderParams] and
// [CheckRecipientParams] look at those that are known.
func ParsePath(value string) (Path, error) {
	p, rest, at, err := splitPath(value)
	if err != nil {
		return Path{}, err
	}
	if n := strings.Count(rest, " "); n > 0 {
		p.Params = make([]Param, 0, min(n, MaxParams))
	}
	for rest != "" {
		if rest[0] != ' ' {
			return Path{}, &valueError{at, fmt.Errorf("expected a space or the end of the line, got %+q", rest[:1])}
		}
		word, _, _ := strings.Cut(rest[1:], " ")
		param, err := parseParam(word)
		switch {
		case err != nil:
		case has(p.Params, param.Keyword):
			err = fmt.Errorf("parameter %s is repeated", param.Keyword)
		case len(p.Params) == MaxParams:
			err = fmt.Errorf("more than %d parameters", MaxParams)
		}
		if err != nil {
			return Path{}, &valueError{at + 1, err}
		}
		p.Params = append(p.Params, param)
		at += 1 + len(word)
		rest = rest[1+len(word):]
	}
	return p, nil
}

// has tells whether a keyword is among the parameters.
func has(params []Param, keyword string) bool {
	return slices.ContainsFunc(params, func(x Param) bool { return strings.EqualFold(x.Keyword, keyword) })
}

// splitPath reads "<address>". It returns what follows, and where that begins.
func splitPath(value string) (p Path, rest string, at int, err error) {
	if !strings.HasPrefix(value, "<") {
		return p, "", 0, &valueError{0, errors.New(`no "<" before the address`)}
	}
	end := pathEnd(value)
	if end < 0 {
		return p, "", 0, &valueError{len(value), errors.New(`no ">" after the address`)}
	}
	p.Address = value[1:end]
	if p.Address != "" {
		if err := CheckAddress(p.Address); err != nil {
			offset := 1
			var bad *AddressError
			if errors.As(err, &bad) {
				offset += bad.Offset
			}
			return Path{}, "", 0, &valueError{offset, err}
		}
	}
	return p, value[end+1:], end + 1, nil
}

// pathEnd returns the place of the ">" that ends the address, or -1. Only within
// quotes can an address contain one.
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
		if value[i] == '>' {
			return i
		}
	}
	return -1
}

// parseParam reads a parameter, in which there is no space.
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
	if has && value == "" || strings.Contains(value, "=") || badText(value) >= 0 {
		return Param{}, fmt.Errorf("bad value of parameter %s", keyword)
	}
	return Param{Keyword: keyword, Value: value, HasValue: has}, nil
}
