//go:build system

package systest

import (
	"strings"
	"testing"
	"time"
)

// spooled is a message in new/ as its two files hold it.
type spooled struct {
	id         string
	content    string
	fields     map[string]string // single ones; the sender with its parameters
	recipients []string          // with their parameters
}

// spooledFor waits until there are that many messages in new/ of which a recipient contains this, and gives them.
func (s *site) spooledFor(recipient string, want int, limit time.Duration) []spooled {
	s.t.Helper()
	var found []spooled
	eventually(limit, func() bool {
		found = nil
		for _, name := range s.names("new") {
			if id, ok := strings.CutSuffix(name, ".envelope"); ok {
				if m := s.readSpooled(id); strings.Contains(strings.Join(m.recipients, " "), recipient) {
					found = append(found, m)
				}
			}
		}
		return len(found) >= want
	})
	if len(found) != want {
		s.t.Fatalf("%d messages in new/ for %q, want %d", len(found), recipient, want)
	}
	return found
}

// readSpooled reads an envelope as its document describes it, not with the package that wrote it.
func (s *site) readSpooled(id string) spooled {
	s.t.Helper()
	m := spooled{id: id, content: readFile(s.t, s.path("new", id+".eml")), fields: map[string]string{}}
	text, ok := strings.CutSuffix(readFile(s.t, s.path("new", id+".envelope")), "\n\n")
	if !ok {
		s.t.Errorf("%s.envelope does not end with an empty line: %q", id, text)
	}
	for _, line := range strings.Split(text, "\n") {
		name, value, ok := strings.Cut(line, ": ")
		switch _, twice := m.fields[name]; {
		case !ok || twice:
			s.t.Errorf("%s.envelope has a line %q", id, line)
		case name == "Recipient":
			m.recipients = append(m.recipients, value)
		default:
			m.fields[name] = value
		}
	}
	return m
}

// want compares a field.
func (m spooled) want(t *testing.T, field, value string) {
	t.Helper()
	if m.fields[field] != value {
		t.Errorf("%s: %q, want %q", field, m.fields[field], value)
	}
}

// wantTLS compares what the envelope and our Received field, the first of the content, tell about TLS.
func (m spooled) wantTLS(t *testing.T, protocol string, secure bool) {
	t.Helper()
	m.want(t, "Protocol", protocol)
	trace, _, _ := strings.Cut(m.content, ";\n")
	facts := m.fields["TLS"]
	switch {
	case !strings.Contains(trace, " with "+protocol+" id "+m.id):
		t.Errorf("%q does not tell the protocol", trace)
	case secure && (!strings.HasPrefix(facts, "TLSv1.") || !strings.Contains(trace, "(using "+facts+")")):
		t.Errorf("TLS %q, and %q", facts, trace)
	case !secure && (facts != "" || strings.Contains(trace, "using")):
		t.Errorf("without TLS: TLS %q, and %q", facts, trace)
	}
}
