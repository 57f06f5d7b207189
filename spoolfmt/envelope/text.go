package envelope

import (
	"strings"
	"time"
	"unicode/utf8"
)

// badText returns the offset of the first control character (U+0000 to U+001F,
// U+007F to U+009F) or invalid UTF-8, or -1.
func badText(s string) int {
	for i := 0; i < len(s); {
		if c := s[i]; c < utf8.RuneSelf {
			if c < 0x20 || c == 0x7f {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n == 1 || r <= 0x9f {
			return i
		}
		i += n
	}
	return -1
}

// CleanText makes any string fit for a field's value. Control characters and
// invalid UTF-8 become "?", blanks around the text go, and at most limit octets
// are left, never half a character. The result can be empty.
func CleanText(s string, limit int) string {
	var b strings.Builder
	for s != "" {
		i := badText(s)
		if i < 0 {
			i = len(s)
		}
		b.WriteString(s[:i])
		if s = s[i:]; s != "" {
			_, n := utf8.DecodeRuneInString(s)
			b.WriteByte('?')
			s = s[n:]
		}
		if b.Len() > 2*limit {
			break
		}
	}
	t := strings.Trim(b.String(), " ")
	if len(t) > limit {
		for !utf8.RuneStart(t[limit]) {
			limit--
		}
		t = strings.TrimRight(t[:limit], " ")
	}
	return t
}

// FormatTime writes a time as envelopes have it: RFC 3339 in UTC, with
// microseconds.
func FormatTime(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05.000000Z") }

// parseTime reads YYYY-MM-DDTHH:MM:SS[.1*9DIGIT]Z, and nothing else.
func parseTime(s string) (time.Time, bool) {
	const whole = "2006-01-02T15:04:05"
	if len(s) < len(whole)+1 || s[len(s)-1] != 'Z' {
		return time.Time{}, false
	}
	fraction := s[len(whole) : len(s)-1]
	if fraction != "" && (fraction[0] != '.' || !digits(fraction[1:], 9)) {
		return time.Time{}, false
	}
	t, err := time.Parse(whole+"Z", s[:len(whole)]+"Z")
	if err != nil || t.Format(whole) != s[:len(whole)] {
		return time.Time{}, false
	}
	if fraction != "" {
		ns := 0
		for i := 1; i <= 9; i++ {
			ns *= 10
			if i < len(fraction) {
				ns += int(fraction[i] - '0')
			}
		}
		t = t.Add(time.Duration(ns))
	}
	return t, true
}

// digits tells whether s is decimal digits: at least one, at most most.
func digits(s string, most int) bool {
	for i := 0; i < len(s); i++ {
		if !isDigit(s[i]) {
			return false
		}
	}
	return s != "" && len(s) <= most
}

// number tells whether s is a decimal number of at most most digits without
// leading zeros.
func number(s string, most int) bool {
	return digits(s, most) && (s == "0" || s[0] != '0')
}
