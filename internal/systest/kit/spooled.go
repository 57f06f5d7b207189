//go:build system

package kit

import (
	"strings"
	"testing"
	"time"
)

// spooled is a message in new/ as its two files hold it.
type spooled struct {
	Id         string
	Content    string
	Fields     map[string]string // single ones; the sender with its parameters
	Recipients []string          // with their parameters
}

// SpooledFor waits until there are that many messages in new/ of which a recipient contains this, and gives them.
func (s *Site) SpooledFor(recipient string, want int, limit time.Duration) []spooled {
	s.T.Helper()
	var found []spooled
	Eventually(limit, func() bool {
		found = nil
		for _, name := range s.Names("new") {
			if id, ok := strings.CutSuffix(name, ".envelope"); ok {
				if m := s.readSpooled(id); strings.Contains(strings.Join(m.Recipients, " "), recipient) {
					found = append(found, m)
				}
			}
		}
		return len(found) >= want
	})
	if len(found) != want {
		s.T.Fatalf("%d messages in new/ for %q, want %d", len(found), recipient, want)
	}
	return found
}

// readSpooled reads an envelope as its document describes it, not with the package that wrote it.
func (s *Site) readSpooled(id string) spooled {
	s.T.Helper()
	m := spooled{Id: id, Content: ReadFile(s.T, s.Path("new", id+".eml")), Fields: map[string]string{}}
	text, ok := strings.CutSuffix(ReadFile(s.T, s.Path("new", id+".envelope")), "\n\n")
	if !ok {
		s.T.Errorf("%s.envelope does not end with an empty line: %q", id, text)
	}
	for _, line := range strings.Split(text, "\n") {
		name, value, ok := strings.Cut(line, ": ")
		switch _, twice := m.Fields[name]; {
		case !ok || twice:
			s.T.Errorf("%s.envelope has a line %q", id, line)
		case name == "Recipient":
			m.Recipients = append(m.Recipients, value)
		default:
			m.Fields[name] = value
		}
	}
	return m
}

// Want compares a field.
func (m spooled) Want(t *testing.T, field, value string) {
	t.Helper()
	if m.Fields[field] != value {
		t.Errorf("%s: %q, want %q", field, m.Fields[field], value)
	}
}

// WantTLS compares what the envelope and our Received field, the first of the content, tell about TLS.
func (m spooled) WantTLS(t *testing.T, protocol string, secure bool) {
	t.Helper()
	m.Want(t, "Protocol", protocol)
	trace, _, _ := strings.Cut(m.Content, ";\n")
	facts := m.Fields["TLS"]
	switch {
	case !strings.Contains(trace, " with "+protocol+" id "+m.Id):
		t.Errorf("%q does not tell the protocol", trace)
	case secure && (!strings.HasPrefix(facts, "TLSv1.") || !strings.Contains(trace, "(using "+facts+")")):
		t.Errorf("TLS %q, and %q", facts, trace)
	case !secure && (facts != "" || strings.Contains(trace, "using")):
		t.Errorf("without TLS: TLS %q, and %q", facts, trace)
	}
}
