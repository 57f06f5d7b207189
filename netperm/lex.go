package netperm

import (
	"strings"
	"unicode/utf8"
)

// scanner splits a table into rules, one call of next for each. Its slices are
// used again by the next call; words without quotes or escapes are parts of
// text, so that reading a table costs next to no memory.
type scanner struct {
	text    string
	program string // whose rules are read; others are skipped
	pos     int
	line    int // of pos, from 1

	at        int      // line on which the rule begins
	keys      []string // keywords before the colon
	words     []string // clause and values
	headFault string   // what is wrong before the colon: the rule may be anybody's
	fault     string   // what is wrong behind it
}

func newScanner(text, program string) *scanner {
	return &scanner{text: strings.TrimPrefix(text, "\ufeff"), program: program, line: 1}
}

// next reads one rule and reports whether there was one.
func (s *scanner) next() bool {
	s.keys, s.words, s.headFault, s.fault = s.keys[:0], s.words[:0], "", ""
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '\n':
			s.endLine()
		case c == ' ' || c == '\t' || s.endCR():
			s.pos++
		case c == '#':
			s.skipComment()
		default:
			s.at = s.line
			s.rule()
			return true
		}
	}
	return false
}

// rule reads keywords, colon and words up to the end of the logical line.
func (s *scanner) rule() {
	s.headFault = s.head()
	if s.headFault != "" {
		s.skipRule()
		return
	}
	if !s.ours() && s.skipLine() {
		return
	}
	for s.skipBlanks() {
		word, fault := s.word()
		if fault != "" {
			s.fault = fault
			s.skipRule()
			return
		}
		s.words = append(s.words, word)
	}
	if s.fault != "" {
		s.skipRule()
	}
}

// ours reports whether the rule counts for the program.
func (s *scanner) ours() bool {
	for _, key := range s.keys {
		if key == s.program || key == "*" {
			return true
		}
	}
	return false
}

// skipLine skips a rule that takes one line only, whatever its words are; others
// must be read to see where they end.
func (s *scanner) skipLine() bool {
	n := strings.IndexByte(s.text[s.pos:], '\n')
	if n < 0 {
		s.pos = len(s.text)
		return true
	}
	if strings.HasSuffix(strings.TrimSuffix(s.text[s.pos:s.pos+n], "\r"), "\\") {
		return false
	}
	s.pos += n
	return true
}

// head reads up to and with the colon.
func (s *scanner) head() (fault string) {
	for {
		if !s.skipBlanks() {
			return "no colon: a rule is \"keyword: clause value\""
		}
		start := s.pos
		for s.pos < len(s.text) && isKeyByte(s.text[s.pos]) {
			s.pos++
		}
		if s.pos == start {
			return "no keyword before " + quoted(s.text[start:start+1])
		}
		key := s.text[start:s.pos]
		if fault := textFault(key); fault != "" {
			return fault
		}
		s.keys = append(s.keys, key)
		if !s.skipBlanks() {
			return "no colon: a rule is \"keyword: clause value\""
		}
		switch s.text[s.pos] {
		case ':':
			s.pos++
			return ""
		case ',':
			s.pos++
		default:
			return "no comma or colon after " + quoted(key) + ": a rule is \"keyword: clause value\""
		}
	}
}

// word reads one word; pos is at its first octet.
func (s *scanner) word() (word, fault string) {
	start := s.pos
	for s.pos < len(s.text) && isGraphic(s.text[s.pos]) {
		s.pos++
	}
	if s.pos > start && (s.pos == len(s.text) || isBlank(s.text[s.pos])) {
		return s.text[start:s.pos], "" // nearly all words
	}
	for s.pos < len(s.text) && isPlain(s.text[s.pos]) {
		s.pos++
	}
	word = s.text[start:s.pos]
	if s.pos < len(s.text) && (s.text[s.pos] == '"' || s.text[s.pos] == '\\') && !s.atContinuation() {
		if word, fault = s.quotedWord(word); fault != "" {
			return "", fault
		}
	}
	if s.pos == start {
		return "", "a control character in " + quoted(s.text[start:start+1]) // CR within a line
	}
	return word, textFault(word)
}

// quotedWord reads the rest of a word that has quotes or escapes.
func (s *scanner) quotedWord(begin string) (word, fault string) {
	b := []byte(begin)
	inQuotes := false
	for ; s.pos < len(s.text); s.pos++ {
		c := s.text[s.pos]
		switch {
		case c == '"':
			inQuotes = !inQuotes
		case c == '\n' && inQuotes:
			return "", "a double quote is not closed on this line"
		case s.atContinuation():
			if !inQuotes {
				return string(b), ""
			}
			s.pos = s.continuationEnd() - 1
			s.line++
			b = append(b, ' ')
		case c == '\\':
			escaped := s.escaped(inQuotes)
			if escaped == 0 {
				return "", badBackslash
			}
			s.pos++
			b = append(b, escaped)
		case !inQuotes && !isPlain(c):
			return string(b), ""
		default:
			b = append(b, c)
		}
	}
	if inQuotes {
		return "", "a double quote is not closed"
	}
	return string(b), ""
}

const badBackslash = `a backslash must end its line or precede ", \ or #`

// escaped returns the octet that the backslash at pos escapes, 0 if none.
func (s *scanner) escaped(inQuotes bool) byte {
	if s.pos+1 >= len(s.text) {
		return 0
	}
	switch c := s.text[s.pos+1]; {
	case c == '"' || c == '\\' || c == '#' && !inQuotes:
		return c
	}
	return 0
}

// skipBlanks moves to the next word or mark of the rule and reports whether
// there is one; if not, pos is at the line end or behind the text.
func (s *scanner) skipBlanks() bool {
	for s.pos < len(s.text) {
		switch c := s.text[s.pos]; {
		case c == '\n':
			return false
		case c == '#' && s.afterBlank():
			s.skipComment()
			return false
		case s.atContinuation():
			s.pos = s.continuationEnd()
			s.line++
			if s.pos >= len(s.text) {
				s.fault = "the last line of the table ends in a backslash; remove it"
				return false
			}
		case c == ' ' || c == '\t' || s.endCR():
			s.pos++
		default:
			return true
		}
	}
	return false
}

// afterBlank reports whether a word could begin at pos.
func (s *scanner) afterBlank() bool {
	if s.pos == 0 {
		return true
	}
	switch s.text[s.pos-1] {
	case ' ', '\t', '\n', ':', ',':
		return true
	}
	return false
}

// atContinuation reports whether a backslash ends the line at pos.
func (s *scanner) atContinuation() bool { return s.continuationEnd() > 0 }

// continuationEnd is where the next line begins when pos is at a backslash that
// ends its line, else 0.
func (s *scanner) continuationEnd() int {
	if s.text[s.pos] != '\\' {
		return 0
	}
	switch rest := s.text[s.pos+1:]; {
	case rest == "":
		return len(s.text)
	case rest[0] == '\n':
		return s.pos + 2
	case strings.HasPrefix(rest, "\r\n"):
		return s.pos + 3
	}
	return 0
}

// endCR reports whether pos is at the CR of a CR LF, or of one that ends the text.
func (s *scanner) endCR() bool {
	return s.text[s.pos] == '\r' && (s.pos+1 == len(s.text) || s.text[s.pos+1] == '\n')
}

func (s *scanner) endLine() {
	s.pos++
	s.line++
}

func (s *scanner) skipComment() {
	if n := strings.IndexByte(s.text[s.pos:], '\n'); n >= 0 {
		s.pos += n
	} else {
		s.pos = len(s.text)
	}
}

// skipRule moves past the rest of a logical line that could not be read. What
// may be a comment is one, and does not continue: it cannot swallow the rule below.
func (s *scanner) skipRule() {
	for s.pos < len(s.text) && s.text[s.pos] != '\n' {
		if s.text[s.pos] == '#' && s.afterBlank() {
			s.skipComment()
			return
		}
		if end := s.continuationEnd(); end > 0 {
			s.pos = end
			s.line++
			continue
		}
		s.pos++
	}
}

// isPlain reports whether c is an ordinary octet of a word. Control characters
// count, so that textFault sees them; a CR that ends a line does no harm there.
func isPlain(c byte) bool {
	return c > ' ' && c != '"' && c != '\\' || c < ' ' && c != '\t' && c != '\n' && c != '\r'
}

// isGraphic reports whether c is a plain ASCII character.
func isGraphic(c byte) bool { return c > ' ' && c < 0x7f && c != '"' && c != '\\' }

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' }

func isKeyByte(c byte) bool { return isPlain(c) && c != ',' && c != ':' }

// textFault says why a word may not be in a table, "" if it may.
func textFault(word string) string {
	ascii := true
	for i := 0; i < len(word); i++ {
		c := word[i]
		if c < ' ' || c == 0x7f {
			return "a control character in " + quoted(word)
		}
		ascii = ascii && c < utf8.RuneSelf
	}
	if ascii {
		return ""
	}
	if !utf8.ValidString(word) {
		return "not UTF-8: " + quoted(word)
	}
	for _, r := range word {
		if r >= 0x80 && r <= 0x9f {
			return "a control character in " + quoted(word)
		}
	}
	return ""
}

// quoteWord writes a word so that a table gives it back.
func quoteWord(word string) string {
	if word != "" && !strings.ContainsAny(word, " \t\"\\#") {
		return word
	}
	var b strings.Builder
	b.WriteByte('"')
	for i := 0; i < len(word); i++ {
		if c := word[i]; c == '"' || c == '\\' {
			b.WriteByte('\\')
		}
		b.WriteByte(word[i])
	}
	b.WriteByte('"')
	return b.String()
}
