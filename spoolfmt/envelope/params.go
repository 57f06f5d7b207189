package envelope

import (
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// CheckSenderParams checks the values of BODY, RET, ENVID and SMTPUTF8. Other
// parameters pass.
func CheckSenderParams(params []Param) error {
	return checkParams(params, func(keyword string, p Param) bool {
		switch keyword {
		case "BODY":
			return oneOf(p.Value, "7BIT", "8BITMIME", "BINARYMIME")
		case "RET":
			return oneOf(p.Value, "FULL", "HDRS")
		case "ENVID":
			return isXtext(p.Value, 100)
		case "SMTPUTF8":
			return !p.HasValue
		}
		return true
	})
}

// CheckRecipientParams checks the values of NOTIFY and ORCPT (RFC 3461). Other
// parameters pass.
func CheckRecipientParams(params []Param) error {
	return checkParams(params, func(keyword string, p Param) bool {
		switch keyword {
		case "NOTIFY":
			return isNotify(p.Value)
		case "ORCPT":
			return isORCPT(p.Value)
		}
		return true
	})
}

func checkParams(params []Param, ok func(keyword string, p Param) bool) error {
	for _, p := range params {
		keyword := strings.ToUpper(p.Keyword)
		if !ok(keyword, p) {
			return fmt.Errorf("bad value of parameter %s: %+.100q", keyword, p.Value)
		}
	}
	return nil
}

func oneOf(value string, words ...string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return equalASCII(value, w) })
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
	kind, address, _ := strings.Cut(s, ";")
	if kind == "" || len(s) > 500 {
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
