package netperm

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// values checks the values of a rule by the clause's kind, reports what is
// wrong, and says whether all is right.
func (p *parser) values(c *entry, r *rule) bool {
	name := c.spelled(r.deny)
	least, most := arity(c.kind)
	switch n := len(r.words); {
	case n < least:
		p.fail(r.line, name, "needs a value: %s", c.usage)
		return false
	case n > most:
		p.fail(r.line, name, "takes one value, got %d: %s", n, c.usage)
		return false
	}
	if c.kind == kindPatterns || c.kind == kindPermit {
		return p.patterns(name, r)
	}
	if reason := c.check(r.words); reason != "" {
		p.fail(r.line, name, "%s", reason)
		return false
	}
	return true
}

// arity is how many values a kind of clause takes.
func arity(k kind) (least, most int) {
	switch k {
	case kindBool:
		return 0, 1
	case kindLines:
		return 2, math.MaxInt
	case kindCommand, kindWords, kindSchedule, kindSet, kindDomains, kindPatterns, kindPermit:
		return 1, math.MaxInt
	}
	return 1, 1
}

// check returns what is wrong with the values, "" if nothing is.
func (c *entry) check(words []string) string {
	for i, w := range words {
		var reason string
		switch c.kind {
		case kindUser, kindGroup:
			reason = checkAccount(w)
		case kindDir, kindFile, kindOutput, kindProgram:
			reason = checkPath(w)
		case kindCommand:
			if i == 0 {
				reason = checkPath(w)
			}
		case kindInt, kindSize, kindSeconds, kindSchedule:
			_, reason = c.number(w)
		case kindBool:
			if w != "yes" && w != "no" {
				reason = quoted(w) + " is neither yes nor no"
			}
		case kindChoice, kindSet:
			reason = checkChoice(w, c.values)
		case kindHostname:
			reason = checkDomain(w, false)
		case kindAddress:
			reason = checkAddress(w)
		case kindDomains:
			if strings.HasPrefix(w, "/") {
				reason = checkPath(w)
			} else {
				reason = checkListed(w)
			}
		}
		if reason != "" {
			return reason
		}
	}
	return ""
}

// number reads a number with the suffixes that the kind allows.
func (c *entry) number(w string) (n int64, reason string) {
	digits, unit := w, int64(1)
	if w != "" {
		unit = suffix(c.kind, w[len(w)-1])
		if unit > 0 {
			digits = w[:len(w)-1]
		}
		unit = max(unit, 1)
	}
	what := " is not a number"
	switch c.kind {
	case kindSize:
		what = " is not a number of octets"
	case kindSeconds, kindSchedule:
		what = " is not a number of seconds"
	}
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, quoted(w) + what
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || n > c.most/unit {
		return 0, quoted(w) + " is too large: at most " + strconv.FormatInt(c.most, 10)
	}
	n *= unit
	if n < c.least {
		return 0, quoted(w) + " is too small: at least " + strconv.FormatInt(c.least, 10)
	}
	return n, ""
}

// suffix is what a unit multiplies by, 0 if the kind has no such unit.
func suffix(k kind, unit byte) int64 {
	switch k {
	case kindSize:
		switch unit {
		case 'k', 'K':
			return 1 << 10
		case 'm', 'M':
			return 1 << 20
		case 'g', 'G':
			return 1 << 30
		}
	case kindSeconds, kindSchedule:
		switch unit {
		case 's':
			return 1
		case 'm':
			return int64(time.Minute / time.Second)
		case 'h':
			return int64(time.Hour / time.Second)
		case 'd':
			return int64(24 * time.Hour / time.Second)
		case 'w':
			return int64(7 * 24 * time.Hour / time.Second)
		}
	}
	return 0
}

// checkAccount takes a number, or a name as useradd(8) makes them.
func checkAccount(w string) string {
	if w != "" && strings.Trim(w, "0123456789") == "" {
		if _, ok := parseID(w); !ok {
			return quoted(w) + " is not a user or group number"
		}
		return ""
	}
	for i := 0; i < len(w); i++ {
		if c := w[i]; !isAlnum(c) && c != '_' && (i == 0 || c != '-' && c != '.' && (c != '$' || i != len(w)-1)) {
			return quoted(w) + " is not a user or group name"
		}
	}
	if w == "" || len(w) > 64 {
		return quoted(w) + " is not a user or group name"
	}
	return ""
}

func checkPath(w string) string {
	switch {
	case !strings.HasPrefix(w, "/"):
		return quoted(w) + " is not an absolute path"
	case len(w) > 1023:
		return quoted(w) + " is too long for a path"
	}
	return ""
}

func checkChoice(w string, values []string) string {
	for _, v := range values {
		if w == v {
			return ""
		}
	}
	if len(values) == 2 {
		return quoted(w) + " is neither " + values[0] + " nor " + values[1]
	}
	return quoted(w) + " is none of " + strings.Join(values, ", ")
}

// checkDomain takes a host or domain name, in ASCII or UTF-8, and where the
// clause allows it an address literal.
func checkDomain(w string, literal bool) string {
	if literal && len(w) > 2 && w[0] == '[' && w[len(w)-1] == ']' && !strings.ContainsAny(w[1:len(w)-1], "[]\\ ") {
		return ""
	}
	if w == "" || len(w) > 255 {
		return quoted(w) + " is not a domain name"
	}
	for rest, more := w, true; more; {
		var label string
		label, rest, more = strings.Cut(rest, ".")
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return quoted(w) + " is not a domain name"
		}
		for i := 0; i < len(label); i++ {
			if c := label[i]; !isAlnum(c) && c != '-' && c != '_' && c < 0x80 {
				return quoted(w) + " is not a domain name"
			}
		}
	}
	return ""
}

// checkListed takes one of a list of domains: a domain, or with a dot in front
// that and all below it.
func checkListed(w string) string {
	name, sub := strings.CutPrefix(w, ".")
	if checkDomain(name, !sub) != "" {
		return quoted(w) + " is not a domain name"
	}
	return ""
}

// checkAddress takes anything like an address. The program checks the stricter
// grammar of the spool.
func checkAddress(w string) string {
	if w == "" || len(w) > 512 || strings.ContainsAny(w, " \t<>") || strings.ContainsAny(w[:1], "-|/:@") || strings.HasSuffix(w, "@") {
		return quoted(w) + " is not a mail address"
	}
	return ""
}

// patterns parses the host patterns of a rule.
func (p *parser) patterns(name string, r *rule) bool {
	good := true
	r.patterns = make([]Pattern, len(r.words))
	for i, w := range r.words {
		var err error
		switch r.patterns[i], err = ParsePattern(w); {
		case strings.HasPrefix(w, "-"):
			p.fail(r.line, name, "unknown option %s", quoted(w))
			return false
		case err != nil:
			p.fail(r.line, name, "%w", err)
			good = false
		case name == "proxy-hosts" && r.patterns[i].IsName():
			p.fail(r.line, name, "%s is a name; load balancers are listed by address", quoted(w))
			good = false
		}
	}
	return good
}
