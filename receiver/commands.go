package receiver

import (
	"math/bits"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Phase is how far the present mail transaction is.
type Phase int

// The phases. They are bits, so that a command's row can name several.
const (
	Connected Phase = 1 << iota // before HELO or EHLO
	Greeted                     // no transaction
	Sender                      // MAIL was accepted
	Rcpt                        // so was at least one RCPT
	Chunks                      // so was a BDAT that was not the last
)

// String returns the phase's name.
func (p Phase) String() string {
	names := [...]string{"", "connected", "greeted", "sender", "recipients", "chunks"}
	return names[bits.Len(uint(p))]
}

const (
	anyPhase = Connected | Greeted | Sender | Rcpt | Chunks
	noChunks = anyPhase &^ Chunks
	helo     = Greeted | Sender | Rcpt
)

// A command is one row of the table that is the protocol.
type command struct {
	verb   string
	phases Phase // in which it is allowed; elsewhere outOfOrder says why not
	bare   bool  // it takes no argument
	idle   bool  // at most maxIdle of them come before a message is accepted
	do     func(s *session, arg string) Reply
}

var commands = []command{
	{"HELO", noChunks, false, true, (*session).helo},
	{"EHLO", noChunks, false, true, (*session).ehlo},
	{"MAIL", Greeted, false, true, (*session).mail},
	{"RCPT", Sender | Rcpt, false, false, (*session).rcpt},
	{"DATA", Rcpt, true, true, (*session).data},
	{"BDAT", anyPhase, false, false, (*session).bdat},
	{"RSET", anyPhase, true, true, (*session).rset},
	{"NOOP", anyPhase, false, true, says(replyNoop)},
	{"QUIT", anyPhase, true, false, (*session).quit},
	{"STARTTLS", helo, true, true, (*session).startTLS},
	{"HELP", noChunks, false, true, says(replyHelp)},
	{"VRFY", noChunks, false, true, says(replyVerify)},
	{"EXPN", noChunks, false, true, says(replyExpand)},
	{"VERB", noChunks, false, true, says(replyVerbose)},
	{"ONEX", noChunks, false, true, says(replyOneX)},
	{"AUTH", anyPhase, false, true, (*session).auth},
	{"DEBUG", noChunks, false, true, (*session).debug},
	{"WIZ", anyPhase, false, true, (*session).attack},
	// A web page that makes a browser talk to us, in the body of a form.
	{"GET", anyPhase, false, true, (*session).attack},
	{"POST", anyPhase, false, true, (*session).attack},
	{"CONNECT", anyPhase, false, true, (*session).attack},
	// A stranger who would like to be another.
	{"PROXY", anyPhase, false, true, (*session).attack},
}

func says(r Reply) func(*session, string) Reply {
	return func(*session, string) Reply { return r }
}

// outOfOrder is the reply to a known command in the wrong phase.
func (s *session) outOfOrder(verb string) Reply {
	switch {
	case s.phase == Chunks:
		return replyInBdat
	case s.phase == Connected:
		return replyHeloFirst
	case verb == "MAIL":
		return replyNested
	case s.phase == Greeted:
		return replyNeedMail
	}
	return replyNeedRcpt
}

// execute parses one command line and carries it out.
func (s *session) execute(line string) Reply {
	s.credentials = s.credentials || isAuth(line)
	line = withoutTab(line)
	if badText(line) {
		s.alarm(eventControlCharacters, "line", s.loggable(line))
		return replyControl
	}
	verb, arg, _ := strings.Cut(line, " ")
	arg = strings.Trim(arg, " ")
	for i := range commands {
		c := &commands[i]
		if !equal(c.verb, verb) {
			continue
		}
		s.credentials = c.verb == "AUTH"
		allowed := s.phase&c.phases != 0
		switch {
		case (c.idle || !allowed) && s.tooIdle():
			return s.enough("commands without a message")
		case !allowed:
			return s.outOfOrder(c.verb)
		case c.bare && arg != "":
			return replyNoArgument
		}
		return c.do(s, arg)
	}
	return replyUnknown
}

// withoutTab takes tabs away that some clients send after the colon of MAIL and
// RCPT.
func withoutTab(line string) string {
	const verb = len("MAIL")
	colon := strings.IndexByte(line, ':')
	if colon < verb || !equal("MAIL", line[:verb]) && !equal("RCPT", line[:verb]) {
		return line
	}
	return line[:colon+1] + strings.TrimLeft(line[colon+1:], " \t")
}

// tooIdle counts a command that brings no message nearer.
func (s *session) tooIdle() bool {
	s.idle++
	return s.idle > maxIdle
}

// equal compares with an ASCII word without regard to case. Unicode has
// characters, of more octets, that fold to "k" and "s"; those are others here.
func equal(word, s string) bool { return len(s) == len(word) && strings.EqualFold(s, word) }

// badText tells whether a line has control characters or is not UTF-8.
func badText(line string) bool {
	return strings.ContainsFunc(line, unicode.IsControl) || !utf8.ValidString(line)
}

// auth refuses AUTH. What follows may be credentials: some clients send them
// whatever the reply is.
func (s *session) auth(string) Reply { return replyNoAuth }

// loggable is a command line as the log may have it: without credentials, which
// are AUTH's argument, and lines of one word that follow an AUTH.
func (s *session) loggable(line string) string {
	switch {
	case isAuth(line):
		return "AUTH (argument not logged)"
	case s.credentials && !strings.Contains(line, " "):
		return "(not logged)"
	}
	return line
}

// isAuth tells whether a line is AUTH, or nearly.
func isAuth(line string) bool {
	const auth = "AUTH"
	line = strings.TrimLeft(line, " \t")
	return len(line) >= len(auth) && equal(auth, line[:len(auth)])
}

func (s *session) rset(string) Reply {
	s.reset()
	return replyReset
}

func (s *session) quit(string) Reply {
	s.over = !s.in.waiting() && s.tls == nil // TLS has an end of its own
	if !s.esmtp {
		return replyQuitHelo
	}
	return replyQuit(s.Hostname)
}

func (s *session) debug(string) Reply {
	s.alarm(eventDebug)
	return replyDebug
}

func (s *session) attack(arg string) Reply {
	s.alarm(eventAttackCommand, "argument", arg)
	return replyUnknown.closing()
}
