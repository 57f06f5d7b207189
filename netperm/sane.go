package netperm

import (
	"path"
	"slices"
	"strings"
)

// given reports whether the table has a clause, right or wrong.
func (p *parser) given(c Clause) bool {
	return p.t.Has(c) || slices.Contains(p.wrong, c.String())
}

// saneRequired looks for what must be there. It can tell that even of a table
// with other errors.
func (p *parser) saneRequired(root bool) {
	t := p.t
	if !p.given(Directory) {
		p.failAt(Directory, "missing: add a rule \"%s: directory DIR\"", t.program)
	}
	if root && !p.given(UserID) {
		p.failAt(UserID, "missing: add a rule \"%s: userid USER\", since %[1]s must not keep running as root", t.program)
	}
	for _, pair := range [...][2]StringClause{{TLSCert, TLSKey}, {TLSKey, TLSCert}} {
		if t.Has(pair[0]) && !p.given(pair[1]) {
			p.failAt(pair[0], "needs %s as well", pair[1])
		}
	}
	if t.Bool(TLSRequired) && !p.given(TLSCert) {
		p.failAt(TLSRequired, "needs tls-cert and tls-key")
	}
}

// sane checks what one clause asks of another. All values are right by now.
func (p *parser) sane() {
	t := p.t
	if t.Has(Directory) && path.Clean(t.String(Directory)) == "/" {
		p.failAt(Directory, "the file system's root cannot be the spool")
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
	for _, c := range [...]StringClause{UserID, GroupID} {
		if id, ok := parseID(t.String(c)); ok && id == 0 || t.String(c) == "root" {
			p.failAt(c, "%s must not be root", t.program)
		}
	}
	if id, ok := parseID(t.String(LookupUserID)); ok && id == 0 || t.String(LookupUserID) == "root" {
		p.failAt(LookupUserID, "must not be root")
	}
	if t.Has(GroupID) && !t.Has(UserID) {
		p.warnAt(GroupID, "not used without userid")
	}
}

func (p *parser) saneSMTP() {
	t := p.t
	if t.Int(MaxRecip) < 100 {
		p.warnAt(MaxRecip, "RFC 5321 section 4.5.3.1.8 requires at least 100")
	}
	if n := t.Int(MaxBytes); n > 0 && n < 64<<10 {
		p.warnAt(MaxBytes, "RFC 5321 section 4.5.3.1.7 requires at least 65536")
	}
	if t.Has(MaxPerClient) && t.Int(MaxPerClient) > t.Int(MaxSessions) {
		p.warnAt(MaxPerClient, "more than maxsessions (%d)", t.Int(MaxSessions))
	}
	if t.Has(Hostname) && !strings.Contains(t.String(Hostname), ".") {
		p.warnAt(Hostname, "%s has no dot; other hosts expect a full name", quoted(t.String(Hostname)))
	}
	for i := range t.rules {
		r := &t.rules[i]
		if r.clause == RelayHosts.index() && slices.ContainsFunc(r.patterns, Pattern.everybody) {
			p.warn(r.line, RelayHosts.String(), "every host can send to any domain: this is an open relay")
		}
	}
	if t.Has(Recipients) && !t.Has(LocalDomains) && !t.Has(Hostname) {
		p.warnAt(Recipients, "without local-domains or hostname, mail is accepted only for the system's own host name")
	}
}

// saneNames warns of patterns that match nothing, or all, and of rules that
// nothing reaches.
func (p *parser) saneNames() {
	t := p.t
	if r, pattern := t.namePattern(); r != nil && !t.Bool(Names) {
		reason := "a name matches no host without \"names yes\""
		if pattern.Match(Host{}) {
			reason = "every host is unknown without \"names yes\""
		}
		p.warn(r.line, clauses[r.clause].spelled(r.deny), "%s", reason)
	}
	all := 0
	for i := range t.rules {
		r := &t.rules[i]
		if clauses[r.clause].kind != kindPermit {
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
	if dir, bad := path.Clean(t.String(Directory)), path.Clean(t.String(BadDir)); t.Has(BadDir) {
		switch bad {
		case dir, path.Join(dir, "tmp"), path.Join(dir, "new"), path.Join(dir, "cur"):
			p.failAt(BadDir, "%s holds other mail of the spool", quoted(bad))
		}
	}
	if words := t.Words(Agent); len(words) > 0 && t.Has(Sendmail) {
		p.warnAt(Sendmail, "not used: line %d names the agent", t.Line(Agent))
	}
	steps := t.Durations(Retry)
	for i, step := range steps {
		if i > 0 && step < steps[i-1] {
			p.warnAt(Retry, "the time between attempts shrinks from %s to %s", steps[i-1], step)
			break
		}
	}
	if len(steps) > 0 && steps[0] > t.Duration(MaxAge) {
		p.warnAt(Retry, "maxage (%s) ends before the first retry", t.Duration(MaxAge))
	}
}

// saneBounce keeps failure reports away from agents that deliver here only: the
// sender, to whom they go, is anywhere.
func (p *parser) saneBounce() {
	t := p.t
	if !t.Bool(Bounce) || t.Has(BounceAgent) {
		return
	}
	switch words := t.Words(Agent); {
	case len(words) == 0:
	case words[0] == "maildir" || words[0] == "lmtp" || words[0] == "exec":
		p.failAt(Bounce, "needs a bounce-agent: agent %s delivers on this host only", words[0])
	}
}
