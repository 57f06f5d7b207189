package envelope

import (
	"errors"
	"fmt"
	"strings"
)

// ParseAddressList returns the addresses of a header field's value, without
// display names, comments, groups and source routes: SPOOL-FORMAT.md, Address
// lists.
func ParseAddressList(value string) ([]string, error) {
	var list []string
	err := eachAddress(value, func(address string) error {
		list = append(list, address)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// eachAddress calls f for each address of a list. A list can have half a million
// of them, so it does not gather them.
func eachAddress(value string, f func(address string) error) error {
	l := addressList{text: value, found: func(address string) error {
		if err := CheckAddress(address); err != nil {
			return err
		}
		return f(address)
	}}
	return l.read()
}

// An addressList reads elements separated by commas. Only the end of an element
// tells what it was, so it is gathered in two ways at once: as words, which are
// an address or a display name, and as an address in angle brackets.
type addressList struct {
	text  string
	found func(address string) error
	group bool

	plain   strings.Builder // the element's words without blanks and comments
	join    bool            // the last word ended in "." or "@"
	spaced  bool            // there are two words
	angle   string
	angled  bool
	trailed bool // words after the brackets
}

var (
	errUnclosed  = errors.New("quote, comment or bracket without end")
	errTwoWords  = errors.New("expected one address, got two words; a display name needs <address>")
	errTwoAngles = errors.New("expected a comma after <address>")
	errGroup     = errors.New("group without end")
)

func errMisplaced(s string) error { return fmt.Errorf("misplaced %q", s[0]) }

func (l *addressList) read() error {
	for l.text != "" {
		var err error
		switch c := l.text[0]; c {
		case ' ', '\t':
			l.text = l.text[1:]
		case '(':
			l.text, err = skipComment(l.text)
		case '<':
			err = l.brackets()
		case ',':
			l.text = l.text[1:]
			err = l.end()
		case ':':
			err = l.openGroup()
		case ';':
			err = l.closeGroup()
		case ')', '>', ']', '\\':
			err = errMisplaced(l.text)
		default:
			err = l.word()
		}
		if err != nil {
			return err
		}
	}
	if l.group {
		return errGroup
	}
	return l.end()
}

// openGroup begins a group, whose name the element's words are.
func (l *addressList) openGroup() error {
	if l.group || l.angled || l.plain.Len() == 0 {
		return errMisplaced(l.text)
	}
	l.group, l.text = true, l.text[1:]
	l.reset()
	return nil
}

func (l *addressList) closeGroup() error {
	if !l.group {
		return errMisplaced(l.text)
	}
	l.group, l.text = false, l.text[1:]
	return l.end()
}

// end ends an element; an empty one is skipped.
func (l *addressList) end() error {
	defer l.reset()
	switch {
	case l.trailed:
		return errTwoAngles
	case l.angled:
		return l.found(l.angle)
	case l.spaced:
		return errTwoWords
	case l.plain.Len() > 0:
		return l.found(l.plain.String())
	}
	return nil
}

func (l *addressList) reset() {
	l.plain.Reset()
	l.join, l.spaced, l.angle, l.angled, l.trailed = false, false, "", false, false
}

// word takes one word: a quoted string, a domain literal, or a run of other
// characters.
func (l *addressList) word() error {
	word, rest, err := cutWord(l.text, " \t(<,:;\"[>])\\")
	if err != nil {
		return err
	}
	l.text = rest
	if l.angled {
		l.trailed = true
	}
	// Words of one address meet at "." and "@", with or without blanks.
	glued := l.join || word[0] == '.' || word[0] == '@'
	if l.plain.Len() > 0 && !glued {
		l.spaced = true
	}
	l.plain.WriteString(word)
	l.join = word[len(word)-1] == '.' || word[len(word)-1] == '@'
	return nil
}

// cutWord cuts off a quoted string, a domain literal, or everything up to one
// of the octets in stop.
func cutWord(s, stop string) (word, rest string, err error) {
	switch s[0] {
	case '"':
		for i := 1; i < len(s); i++ {
			switch s[i] {
			case '\\':
				i++
			case '"':
				return s[:i+1], s[i+1:], nil
			}
		}
		return "", "", errUnclosed
	case '[':
		i := strings.IndexByte(s, ']')
		if i < 0 {
			return "", "", errUnclosed
		}
		return s[:i+1], s[i+1:], nil
	}
	i := strings.IndexAny(s, stop)
	if i < 0 {
		i = len(s)
	}
	return s[:i], s[i:], nil
}

// brackets takes "<address>", with blanks and comments in it and a source
// route before the address.
func (l *addressList) brackets() error {
	if l.angled {
		return errTwoAngles
	}
	l.angled = true
	var b strings.Builder
	rest := l.text[1:]
	for rest != "" {
		var err error
		switch rest[0] {
		case ' ', '\t':
			rest = rest[1:]
		case '(':
			rest, err = skipComment(rest)
		case '>':
			l.angle, l.text = withoutRoute(b.String()), rest[1:]
			return nil
		case ',', ':', '@':
			b.WriteByte(rest[0])
			rest = rest[1:]
		case '<', ';', ')', ']', '\\':
			return errMisplaced(rest)
		default:
			var word string
			word, rest, err = cutWord(rest, " \t(<,:;\"[>])\\@")
			b.WriteString(word)
		}
		if err != nil {
			return err
		}
	}
	return errUnclosed
}

// withoutRoute drops "@a,@b:" before an address.
func withoutRoute(s string) string {
	if strings.HasPrefix(s, "@") {
		_, s, _ = strings.Cut(s, ":")
	}
	return s
}

// skipComment returns what follows a comment, which may hold others.
func skipComment(s string) (string, error) {
	depth := 0
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				return s[i+1:], nil
			}
		}
	}
	return "", errUnclosed
}
