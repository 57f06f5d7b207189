//go:build system

package systest

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// peer is a smap with STARTTLS for other people's clients; nothing drains its spool.
type peer struct {
	*site
	port int
	ca   string
	smap *process
}

func newPeer(t *testing.T, rules ...string) *peer {
	t.Helper()
	return newPeerOn(t, func(*site) {}, rules...)
}

// newPeerOn is newPeer on a site that is changed before.
func newPeerOn(t *testing.T, change func(*site), rules ...string) *peer {
	t.Helper()
	s := newSite(t)
	change(s)
	return startPeer(t, s, nil, rules)
}

// newPeerFrom is newPeer with smap started by these words, which are a command that takes another one.
func newPeerFrom(t *testing.T, words []string, rules ...string) *peer {
	t.Helper()
	return startPeer(t, newSite(t), words, rules)
}

func startPeer(t *testing.T, s *site, words, rules []string) *peer {
	t.Helper()
	ca, cert, key := certificate(t, s, "mx.system.test")
	s.rules(append([]string{"smap: hostname mx.system.test", "smap: local-domains .system.test", "smap: log stderr",
		"smap: tls-cert " + cert, "smap: tls-key " + key}, rules...)...)
	p := &peer{site: s, port: freePort(t), ca: ca}
	words = append(words, program(t, "smap"), "-c", s.table, "-listen", local(p.port))
	p.smap = start(t, words[0], words[1:]...)
	listening(t, p.port)
	return p
}

// logged waits for a line of smap's log with all of these words.
func (p *peer) logged(t *testing.T, words ...string) {
	t.Helper()
	if !eventually(10*time.Second, func() bool { return len(linesWith(p.smap.log(), words...)) > 0 }) {
		t.Errorf("no line of the log has %q", words)
	}
}

// linesWith are the lines of a text that have all of these words.
func linesWith(text string, words ...string) []string {
	var found []string
next:
	for line := range strings.Lines(text) {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}

// sessions is how many have begun and not ended, by the log.
func (p *peer) sessions() int {
	log := p.smap.log()
	return len(linesWith(log, " connect ")) - len(linesWith(log, " exit "))
}

// in is the peer for a subtest, which fails and cleans up for itself.
func (p *peer) in(t *testing.T) *peer {
	q, s := *p, *p.site
	s.t, q.site = t, &s
	return &q
}

// child is the process that serves.
func (p *peer) child(t *testing.T) int {
	t.Helper()
	var all []int
	// The parent listens before it has a child.
	if !eventually(10*time.Second, func() bool { all = p.smap.children(); return len(all) == 2 }) {
		t.Fatalf("smap and its children are processes %v, want two", all)
	}
	return all[1]
}

// nothing wants no message in the spool, and after a moment nothing of one.
func (p *peer) nothing(t *testing.T) {
	t.Helper()
	if names := p.names("new"); len(names) > 0 {
		t.Errorf("in new/: %v", names)
	}
	if !eventually(5*time.Second, func() bool { return p.count("tmp") == 0 }) {
		t.Errorf("left in tmp/: %v", p.names("tmp"))
	}
}

func (p *peer) portName() string { return strconv.Itoa(p.port) }

// check wants one message in the spool for these recipients, from fromAddress, octet for octet past added fields.
func (p *peer) check(t *testing.T, secure bool, text string, to ...string) spooled {
	t.Helper()
	m := p.envelope(t, map[bool]string{false: "ESMTP", true: "ESMTPS"}[secure], secure, to...)
	if got := split(m.content).rest; got != text {
		t.Errorf("spooled %q, want %q", got, text)
	}
	return m
}

// envelope wants one message for these recipients, and the facts of the session in its envelope and in the log.
func (p *peer) envelope(t *testing.T, protocol string, secure bool, to ...string) spooled {
	t.Helper()
	m := p.spooledFor("<"+to[0]+">", 1, 20*time.Second)[0]
	sender, _, _ := strings.Cut(m.fields["Sender"], " ")
	if sender != "<"+fromAddress+">" {
		t.Errorf("sender %s", sender)
	}
	var got, want []string
	for i := range to {
		want = append(want, "<"+to[i]+">")
	}
	for _, r := range m.recipients {
		address, _, _ := strings.Cut(r, " ")
		got = append(got, address)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("recipients %v, want %v", got, want)
	}
	m.want(t, "Client-Address", "127.0.0.1")
	m.want(t, "Helo", "client.test")
	m.wantTLS(t, protocol, secure)
	if !eventually(5*time.Second, func() bool { return strings.Contains(p.smap.log(), "message client=127.0.0.1 id="+m.id+" ") }) {
		t.Errorf("no line of the log tells of %s", m.id)
	}
	return m
}

// TestPortCheck connects and leaves, as monitors and scanners do: no attack.
func TestPortCheck(t *testing.T) {
	t.Parallel()
	p := newPeer(t)
	if !eventually(10*time.Second, func() bool { return strings.Contains(p.smap.log(), "why=vanished") }) ||
		strings.Contains(p.smap.log(), "securityalert") {
		t.Errorf("the log tells something else than a client that vanished")
	}
}
