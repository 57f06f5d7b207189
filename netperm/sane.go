package netperm

import (
	"path"
	"slices"
	"strings"
)

// given reports whether a clause stands in the table, right or wrong.
func (p *parser) given(clause string) bool {
	return p.t.Has(clause) || slices.Contains(p.wrong, clause)
}

// saneRequired looks for what must be there. It can tell that even of a table
// with other errors.
func (p *parser) saneRequired(root bool) {
	t := p.t
	if !p.given("directory") {
		p.fail(0, "directory", "not in the table, and %s cannot do without it", t.program)
	}
	if root && !p.given("userid") {
		p.fail(0, "userid", "not in the table, and root cannot do without it")
	}
	for _, pair := range [...][2]string{{"tls-cert", "tls-key"}, {"tls-key", "tls-cert"}} {
		if t.Has(pair[0]) && !p.given(pair[1]) {
			p.fail(t.Line(pair[0]), pair[0], "needs %s as well", pair[1])
		}
	}
	if t.Bool("tls-required") && !p.given("tls-cert") {
		p.fail(t.Line("tls-required"), "tls-required", "needs tls-cert and tls-key")
	}
}

// sane checks what one clause asks of another. All values are right by now.
func (p *parser) sane() {
	t := p.t
	if t.Has("directory") && path.Clean(t.String("directory")) == "/" {
		p.fail(t.Line("directory"), "directory", "the file system's root cannot be the spool")
	}
	p.saneIdentity()
	switch t.program {
	case "smap":
		p.saneSMTP()
		p.saneNames()
	case "smapd":
		p.saneDelivery()
		p.saneBounce()
	}
}

func (p *parser) saneIdentity() {
	t := p.t
	for _, clause := range [...]string{"userid", "groupid"} {
		if id, ok := parseID(t.String(clause)); ok && id == 0 || t.Has(clause) && t.String(clause) == "root" {
			p.fail(t.Line(clause), clause, "%s must not be root", t.program)
		}
	}
	if t.Has("groupid") && !t.Has("userid") {
		p.warn(t.Line("groupid"), "groupid", "not used without userid")
	}
}

func (p *parser) saneSMTP() {
	t := p.t
	if t.Int("maxrecip") < 100 {
		p.warn(t.Line("maxrecip"), "maxrecip", "RFC 5321 section 4.5.3.1.8 demands at least 100")
	}
	if n := t.Int("maxbytes"); n > 0 && n < 64<<10 {
		p.warn(t.Line("maxbytes"), "maxbytes", "RFC 5321 section 4.5.3.1.7 demands at least 65536")
	}
	if t.Has("maxperclient") && t.Int("maxperclient") > t.Int("maxsessions") {
		p.warn(t.Line("maxperclient"), "maxperclient", "more than maxsessions (%d)", t.Int("maxsessions"))
	}
	if t.Has("hostname") && !strings.Contains(t.String("hostname"), ".") {
		p.warn(t.Line("hostname"), "hostname", "%s has no dot; other hosts expect a full name", quoted(t.String("hostname")))
	}
	if t.Has("recipients") && !t.Has("local-domains") && !t.Has("hostname") {
		p.warn(t.Line("recipients"), "recipients", "without local-domains or hostname these are addresses of the system's own host name")
	}
}

// saneNames warns of patterns that match nothing, or all, and of rules that
// nothing reaches.
func (p *parser) saneNames() {
	t := p.t
	if r, pattern := t.namePattern(); r != nil && !t.Bool("names") {
		reason := "a name matches no host without \"names yes\""
		if pattern.Match(Host{}) {
			reason = "every host is unknown without \"names yes\""
		}
		p.warn(r.line, clauses[r.clause].spelled(r.deny), "%s", reason)
	}
	all := 0
	for i := range t.rules {
		r := &t.rules[i]
		if clauses[r.clause].Kind != KindPermit {
			continue
		}
		if all > 0 {
			p.warn(r.line, clauses[r.clause].spelled(r.deny), "never used: line %d matches every host", all)
			continue
		}
		for _, pattern := range r.patterns {
			if pattern.kind == patAll {
				all = r.line
			}
		}
	}
}

func (p *parser) saneDelivery() {
	t := p.t
	if dir, bad := path.Clean(t.String("directory")), path.Clean(t.String("baddir")); t.Has("baddir") {
		switch bad {
		case dir, path.Join(dir, "tmp"), path.Join(dir, "new"), path.Join(dir, "cur"):
			p.fail(t.Line("baddir"), "baddir", "%s is where the spool keeps other mail", quoted(bad))
		}
	}
	if words := t.Words("agent"); len(words) > 0 && t.Has("sendmail") {
		p.warn(t.Line("sendmail"), "sendmail", "not used: line %d names the agent", t.Line("agent"))
	}
	steps := t.Durations("retry")
	for i, step := range steps {
		if i > 0 && step < steps[i-1] {
			p.warn(t.Line("retry"), "retry", "the time between attempts shrinks from %s to %s", steps[i-1], step)
			break
		}
	}
	if len(steps) > 0 && steps[0] > t.Duration("maxage") {
		p.warn(t.Line("retry"), "retry", "maxage (%s) is over before the first retry", t.Duration("maxage"))
	}
}

// saneBounce keeps failure reports away from agents that deliver here only: the
// sender, to whom they go, is anywhere.
func (p *parser) saneBounce() {
	t := p.t
	if !t.Bool("bounce") || t.Has("bounce-agent") {
		return
	}
	switch words := t.Words("agent"); {
	case len(words) == 0:
	case words[0] == "maildir" || words[0] == "lmtp" || words[0] == "exec":
		p.fail(t.Line("bounce"), "bounce", "needs a bounce-agent: agent %s delivers on this host only", words[0])
	}
}
