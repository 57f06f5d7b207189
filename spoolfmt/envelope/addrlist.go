package envelope

import (
	"errors"
	"strings"
)

// parseAddressList reads the addresses of a header field, display names,
// comments and groups taken off: SPOOL-FORMAT.md, Address lists. Errors are
// *[ParseError] with the field's first line.
func parseAddressList(v headerValue) ([]string, error) {
	l := addressList{text: string(v.text)}
	err := l.read()
	if err == nil {
		for _, a := range l.addresses {
			if err = CheckAddress(a); err != nil {
				break
			}
		}
	}
	if err != nil {
		return nil, &ParseError{Line: v.line, Column: 1, Err: err}
	}
	return l.addresses, nil
}

// An addressList reads elements separated by commas. An element is gathered in
// two ways at once, since only its end tells which it was: as words, for an
// address that stands alone, and as what stood within angle brackets.
type addressList struct {
	text      string
	addresses []string
	group     bool

	plain   strings.Builder // the element's words without blanks and comments
	gap     bool            // blanks or a comment since the last word
	join    bool            // the last word ended in "." or "@"
	spaced  bool            // two words stood side by side
	angle   string
	angled  bool
	trailed bool // words after the brackets
}

var (
	errUnclosed   = errors.New("quote, comment or bracket without end")
	errTwoWords   = errors.New("two words where one address should be; a display name needs <address>")
	errTwoAngles  = errors.New("more than one <address>, or text after it, without a comma between")
	errGroupPlace = errors.New("\":\" or \";\" out of place")
)

func (l *addressList) read() error {
	for l.text != "" {
		var err error
		switch c := l.text[0]; c {
		case ' ', '\t':
			l.gap, l.text = true, l.text[1:]
		case '(':
			l.gap = true
			l.text, err = skipComment(l.text)
		case '<':
			err = l.brackets()
		case ',':
			l.text = l.text[1:]
			err = l.end()
		case ':':
			l.text = l.text[1:]
			if l.group || l.angled || l.plain.Len() == 0 {
				return errGroupPlace
			}
			l.group = true
			l.reset()
		case ';':
			l.text = l.text[1:]
			if !l.group {
				return errGroupPlace
			}
			if err = l.end(); err == nil {
				l.group = false
			}
		case ')', '>', ']', '\\':
			return errUnclosed
		default:
			err = l.word()
		}
		if err != nil {
			return err
		}
	}
	if l.group {
		return errGroupPlace
	}
	return l.end()
}

// end ends an element; an empty one is skipped.
func (l *addressList) end() error {
	switch {
	case l.angled && l.trailed:
		return errTwoAngles
	case l.angled:
		l.addresses = append(l.addresses, l.angle)
	case l.spaced:
		return errTwoWords
	case l.plain.Len() > 0:
		l.addresses = append(l.addresses, l.plain.String())
	}
	l.reset()
	return nil
}

func (l *addressList) reset() {
	l.plain.Reset()
	l.gap, l.join, l.spaced, l.angle, l.angled, l.trailed = false, false, false, "", false, false
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
	// Blanks are allowed around "." and "@", and nowhere else in an address.
	glued := l.join || word[0] == '.' || word[0] == '@'
	if l.plain.Len() > 0 && l.gap && !glued {
		l.spaced = true
	}
	l.plain.WriteString(word)
	l.gap, l.join = false, word[len(word)-1] == '.' || word[len(word)-1] == '@'
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
			return errUnclosed
		default:
			var word string
			if word, rest, err = cutWord(rest, " \t(<,:;\"[>])\\@"); err == nil {
				b.WriteString(word)
			}
		}
		if err != nil {
			return err
		}
	}
	return errUnclosed
}

// withoutRoute drops "@a,@b:" before an address.
func withoutRoute(s string) string {
	if !strings.HasPrefix(s, "@") {
		return s
	}
	if _, address, ok := strings.Cut(s, ":"); ok {
		return address
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
