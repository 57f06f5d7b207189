package receiver

import "strings"

// receivedField is our trace field (RFC 5321 4.4), folded, with LF.
func (s *session) receivedField(id string) []byte {
	var b strings.Builder
	b.WriteString("Received: from " + traceWord(s.heloName) + " (")
	if s.client.Ident != "" {
		b.WriteString(traceWord(s.client.Ident) + "@")
	}
	b.WriteString(traceWord(orUnknown(s.client.Name)) + " " + s.client.literal() + ")\n")
	if s.tls != nil {
		b.WriteString("\t(using " + s.tls.String() + ")\n")
	}
	b.WriteString("\tby " + s.Hostname + " (smap) with " + s.protocol() + " id " + id)
	// With several recipients it would tell each of them about another.
	if len(s.recipients) == 1 {
		b.WriteString("\n\tfor <" + s.recipients[0].Address + ">")
	}
	b.WriteString(";\n\t" + s.Now().UTC().Format("Mon, 2 Jan 2006 15:04:05 -0700") + "\n")
	return []byte(b.String())
}

// traceWord makes what a client says of itself fit for a header: no octet that
// means something there.
func traceWord(word string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9',
			strings.ContainsRune("-._:[]", r):
			return r
		}
		return '?'
	}, word)
}
