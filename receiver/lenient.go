package receiver

// A lenient connection is one of a host that the table lists as lenient: it makes
// CR LF of the ends of lines that the host uses, and so everything behind it is
// as strict as ever.
//
// The first command fixes how commands end: in CR LF or in LF. The first line of
// each message fixes how its lines end; the lone dot ends as a command does, and
// so may the last line before it, since many programs send a file as it is and
// add CR LF, dot, CR LF. One CR more before CR LF is dropped. Any other mixture
// stays as it is, and is refused.
type lenient struct {
	Conn
	commands style
	content  style // of the message that is on its way
	within   bool  // a message
	crs      int   // that are held back
	line     int   // octets of the present line, without its end
	dot      bool  // that line is a lone dot until now
	last     bool  // the line before must have been the last one
}

// A style is how lines end.
type style int

const (
	unknownStyle style = iota
	styleLF
	styleCRLF
)

// Read reads lines in CR LF.
func (l *lenient) Read(p []byte) (int, error) {
	raw := make([]byte, len(p)/2-2) // each octet becomes at most two, and two may be held back
	n, err := l.Conn.Read(raw)
	out := p[:0]
	for _, c := range raw[:n] {
		out = l.octet(out, c)
	}
	return len(out), err
}

// message tells that the next line is the first of a message.
func (l *lenient) message() { l.within, l.content, l.last = true, unknownStyle, false }

// octet appends what one octet becomes.
func (l *lenient) octet(out []byte, c byte) []byte {
	switch {
	case c == '\n':
		return l.endLine(out)
	case c == '\r' && l.crs < 2:
		l.crs++
		return out
	}
	out = l.bareCRs(out)
	if c == '\r' {
		l.crs = 1
		return out
	}
	l.line++
	l.dot = l.line == 1 && c == '.'
	if l.last && !l.dot { // the line before was none of the last
		out = append(out, '\n')
		l.last = false
	}
	return append(out, c)
}

// bareCRs appends what was held back and is no line's end.
func (l *lenient) bareCRs(out []byte) []byte {
	for ; l.crs > 0; l.crs-- {
		out = append(out, '\r')
	}
	return out
}

// endLine appends CR LF where the line ends as it has to, and otherwise a bare
// LF, which nobody accepts.
func (l *lenient) endLine(out []byte) []byte {
	found := styleCRLF
	if l.crs == 0 {
		found = styleLF
	}
	held := l.crs
	dot := l.dot && l.line == 1
	want := &l.commands
	if l.within && !dot {
		want = &l.content
	}
	if *want == unknownStyle {
		*want = found
	}
	good := found == *want && !(l.last && !dot) && !(dot && held > 1)
	if !good && l.within && !dot && !l.last && found == l.commands {
		good, l.last = true, true // it has to be the last line
	}
	l.crs, l.line, l.dot = 0, 0, false
	if good && l.within && dot {
		l.within, l.last = false, false
	}
	if !good {
		return append(out, '\n')
	}
	return append(out, '\r', '\n')
}
