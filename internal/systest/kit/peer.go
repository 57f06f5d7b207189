//go:build system

package kit

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Peer is a smap with STARTTLS for other people's clients; nothing drains its spool.
type Peer struct {
	*Site
	Port int
	CA   string
	Smap *Process
}

// NewPeer starts a peer with these lines added to its table.
func NewPeer(t *testing.T, rules ...string) *Peer {
	t.Helper()
	return NewPeerOn(t, func(*Site) {}, rules...)
}

// NewPeerOn is newPeer on a site that is changed before.
func NewPeerOn(t *testing.T, change func(*Site), rules ...string) *Peer {
	t.Helper()
	s := NewSite(t)
	change(s)
	return startPeer(t, s, nil, rules)
}

// NewPeerFrom is newPeer with smap started by these words, which are a command that takes another one.
func NewPeerFrom(t *testing.T, words []string, rules ...string) *Peer {
	t.Helper()
	return startPeer(t, NewSite(t), words, rules)
}

func startPeer(t *testing.T, s *Site, words, rules []string) *Peer {
	t.Helper()
	ca, cert, key := Certificate(t, s, "mx.system.test")
	s.Rules(append([]string{"smap: hostname mx.system.test", "smap: local-domains .system.test", "smap: log stderr",
		"smap: tls-cert " + cert, "smap: tls-key " + key}, rules...)...)
	p := &Peer{Site: s, Port: FreePort(t), CA: ca}
	words = append(words, Program(t, "smap"), "-c", s.Table, "-listen", Local(p.Port))
	p.Smap = Start(t, words[0], words[1:]...)
	Listening(t, p.Port)
	return p
}

// Logged waits for a line of smap's log with all of these words.
func (p *Peer) Logged(t *testing.T, words ...string) {
	t.Helper()
	if !Eventually(10*time.Second, func() bool { return len(LinesWith(p.Smap.Log(), words...)) > 0 }) {
		t.Errorf("no line of the log has %q", words)
	}
}

// LinesWith are the lines of a text that have all of these words.
func LinesWith(text string, words ...string) []string {
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

// Sessions is how many have begun and not ended, by the log.
func (p *Peer) Sessions() int {
	log := p.Smap.Log()
	return len(LinesWith(log, " connect ")) - len(LinesWith(log, " exit "))
}

// In is the peer for a subtest, which fails and cleans up for itself.
func (p *Peer) In(t *testing.T) *Peer {
	q, s := *p, *p.Site
	s.T, q.Site = t, &s
	return &q
}

// Child is the process that serves.
func (p *Peer) Child(t *testing.T) int {
	t.Helper()
	var all []int
	// The parent listens before it has a child.
	if !Eventually(10*time.Second, func() bool { all = p.Smap.Children(); return len(all) == 2 }) {
		t.Fatalf("smap and its children are processes %v, want two", all)
	}
	return all[1]
}

// Nothing wants no message in the spool, and after a moment nothing of one.
func (p *Peer) Nothing(t *testing.T) {
	t.Helper()
	if names := p.Names("new"); len(names) > 0 {
		t.Errorf("in new/: %v", names)
	}
	if !Eventually(5*time.Second, func() bool { return p.Count("tmp") == 0 }) {
		t.Errorf("left in tmp/: %v", p.Names("tmp"))
	}
}

// PortName is the port as text.
func (p *Peer) PortName() string { return strconv.Itoa(p.Port) }

// Check wants one message in the spool for these recipients, from fromAddress, octet for octet past added fields.
func (p *Peer) Check(t *testing.T, secure bool, text string, to ...string) spooled {
	t.Helper()
	m := p.Envelope(t, map[bool]string{false: "ESMTP", true: "ESMTPS"}[secure], secure, to...)
	if got := Split(m.Content).Rest; got != text {
		t.Errorf("spooled %q, want %q", got, text)
	}
	return m
}

// Envelope wants one message for these recipients, and the facts of the session in its envelope and in the log.
func (p *Peer) Envelope(t *testing.T, protocol string, secure bool, to ...string) spooled {
	t.Helper()
	m := p.SpooledFor("<"+to[0]+">", 1, 20*time.Second)[0]
	sender, _, _ := strings.Cut(m.Fields["Sender"], " ")
	if sender != "<"+FromAddress+">" {
		t.Errorf("sender %s", sender)
	}
	var got, want []string
	for i := range to {
		want = append(want, "<"+to[i]+">")
	}
	for _, r := range m.Recipients {
		address, _, _ := strings.Cut(r, " ")
		got = append(got, address)
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		t.Errorf("recipients %v, want %v", got, want)
	}
	m.Want(t, "Client-Address", "127.0.0.1")
	m.Want(t, "Helo", "client.test")
	m.WantTLS(t, protocol, secure)
	if !Eventually(5*time.Second, func() bool { return strings.Contains(p.Smap.Log(), "message client=127.0.0.1 id="+m.Id+" ") }) {
		t.Errorf("no line of the log tells of %s", m.Id)
	}
	return m
}
