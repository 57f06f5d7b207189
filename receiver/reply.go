package receiver

import (
	"strconv"
	"strings"

	"smap/spoolfmt/envelope"
)

// A Reply is what the server says to one command: RFC 5321 4.2.
type Reply struct {
	Code     int
	Enhanced string   // RFC 3463; not sent to clients that said HELO
	Text     string   // one line
	More     []string // EHLO's further lines
	Close    bool     // the session ends after it
	fault    bool     // counts towards maxerrors
	rule     string   // for the log: what in the table would allow it
}

// Every text that a client can read is in this file. Those of the Firewall
// Toolkit's dialogue are as they were in 1996.
var (
	replyNoop       = Reply{Code: 250, Enhanced: "2.0.0", Text: "OK"}
	replyReset      = Reply{Code: 250, Enhanced: "2.0.0", Text: "Reset state"}
	replyHelp       = Reply{Code: 214, Enhanced: "2.0.0", Text: "HELO EHLO MAIL RCPT DATA BDAT RSET NOOP QUIT HELP VRFY EXPN STARTTLS"}
	replyVerify     = Reply{Code: 252, Enhanced: "2.5.2", Text: "Cannot VRFY user; try RCPT to attempt delivery"}
	replyExpand     = Reply{Code: 252, Enhanced: "2.5.2", Text: "Cannot EXPN list; try RCPT to attempt delivery"}
	replyVerbose    = Reply{Code: 250, Enhanced: "2.0.0", Text: "Verbose mode"}
	replyOneX       = Reply{Code: 250, Enhanced: "2.0.0", Text: "Only one transaction"}
	replyDebug      = Reply{Code: 250, Enhanced: "2.0.0", Text: "Debug set -NOT!"}
	replyEnterMail  = Reply{Code: 354, Text: `Enter mail, end with "." on a line by itself`}
	replyStartTLS   = Reply{Code: 220, Text: "Ready to start TLS"}
	replyNoAuth     = Reply{Code: 502, Enhanced: "5.5.1", Text: "AUTH is not offered", fault: true}
	replyUnknown    = Reply{Code: 500, Enhanced: "5.5.1", Text: "Command unrecognized", fault: true}
	replyLongLine   = Reply{Code: 500, Enhanced: "5.5.2", Text: "Line too long", fault: true}
	replyControl    = Reply{Code: 500, Enhanced: "5.5.2", Text: "Command with control characters or invalid UTF-8", fault: true}
	replyNoArgument = Reply{Code: 501, Enhanced: "5.5.4", Text: "No argument allowed", fault: true}
	replyHeloName   = Reply{Code: 501, Enhanced: "5.5.4", Text: "HELO and EHLO need a name of at most 255 ASCII characters", fault: true}
	replyHeloFirst  = Reply{Code: 503, Enhanced: "5.5.1", Text: "Say HELO or EHLO first", fault: true}
	replyNested     = Reply{Code: 503, Enhanced: "5.5.1", Text: "Sender already specified", fault: true}
	replyNeedMail   = Reply{Code: 503, Enhanced: "5.5.1", Text: "Need MAIL first"}
	replyNeedRcpt   = Reply{Code: 554, Enhanced: "5.5.1", Text: "No valid recipients"}
	replyInBdat     = Reply{Code: 503, Enhanced: "5.5.1", Text: "Finish BDAT first", fault: true}
	replyNoTLS      = Reply{Code: 502, Enhanced: "5.5.1", Text: "STARTTLS is not available", fault: true}
	replyTLSTwice   = Reply{Code: 503, Enhanced: "5.5.1", Text: "TLS is active already", fault: true}
	replyTLSFirst   = Reply{Code: 530, Enhanced: "5.7.0", Text: "Must issue a STARTTLS command first"}
	replyInjected   = Reply{Code: 501, Enhanced: "5.5.1", Text: "Commands after STARTTLS must wait for TLS", Close: true}
	replyMailSyntax = Reply{Code: 501, Enhanced: "5.5.4", Text: "Syntax: MAIL FROM:<address> [parameters]", fault: true}
	replyRcptSyntax = Reply{Code: 501, Enhanced: "5.5.4", Text: "Syntax: RCPT TO:<address> [parameters]", fault: true}
	replyBdatSyntax = Reply{Code: 501, Enhanced: "5.5.4", Text: "Syntax: BDAT octets [LAST]", fault: true, Close: true}
	replyNoBdat     = Reply{Code: 502, Enhanced: "5.5.1", Text: "BDAT is not offered", Close: true}
	replyAccepted   = Reply{Code: 250, Text: "Mail accepted"}
	replyQuitHelo   = Reply{Code: 221, Text: "Closing connection", Close: true}
	replyParamsHelo = Reply{Code: 555, Enhanced: "5.5.4", Text: "Parameters need EHLO", fault: true}
	replySize       = Reply{Code: 501, Enhanced: "5.5.4", Text: "SIZE is not a number", fault: true}
	replyExpands    = Reply{Code: 553, Enhanced: "5.1.3", Text: "Bad address: local part looks like a shell or Exim expansion"}
	replyBadLiteral = Reply{Code: 553, Enhanced: "5.1.3", Text: "Bad address: no valid IP address in the brackets"}
	replyNullRcpt   = Reply{Code: 553, Enhanced: "5.1.3", Text: "A recipient needs an address", fault: true}
	replyNeedUTF8   = Reply{Code: 553, Enhanced: "5.6.7", Text: "Address beyond ASCII needs the SMTPUTF8 parameter"}
	replyNoDomain   = Reply{Code: 553, Enhanced: "5.1.3", Text: "Recipient needs a domain"}
	replyManyRcpts  = Reply{Code: 452, Enhanced: "4.5.3", Text: "Too many recipients"}
	replyTooBig     = Reply{Code: 552, Enhanced: "5.3.4", Text: "Message too big"}
	replyFull       = Reply{Code: 452, Enhanced: "4.3.1", Text: "Not enough room in the spool, try later"}
	replySystem     = Reply{Code: 451, Enhanced: "4.3.0", Text: "System trouble, try later"}
	replyLoop       = Reply{Code: 554, Enhanced: "5.4.6", Text: "Too many Received lines: a mail loop"}
	replyBareLine   = Reply{Code: 550, Enhanced: "5.5.2", Text: "Lines must end in CR LF, and NUL is not allowed", Close: true}
	replyEarly      = Reply{Code: 554, Enhanced: "5.5.0", Text: "Wait for the greeting before you send commands", Close: true}
)

// Replies whose text depends on something.

func replyReady(host string) Reply       { return replyFor(220, "", host, " SMTP/smap Ready.") }
func replyHelo(name string) Reply        { return replyFor(250, "", "(", name, ") pleased to meet you.") }
func replyEhlo(host string) Reply        { return replyFor(250, "", host, " pleased to meet you") }
func replySender(address string) Reply   { return replyFor(250, "2.1.0", "<", address, ">... Sender Ok") }
func replyRecipient(addr string) Reply   { return replyFor(250, "2.1.5", "<", addr, "> OK") }
func replyChunk(size string) Reply       { return replyFor(250, "2.0.0", size, " octets received") }
func replyAcceptedAs(id string) Reply    { return replyFor(250, "2.0.0", "Mail accepted, id ", id) }
func replySyntax(err error) Reply        { return replyFor(501, "5.5.4", err.Error()) }
func replyBadSender(reason string) Reply { return replyFor(553, "5.1.7", "Bad address: ", reason) }
func replyBadRcpt(reason string) Reply   { return replyFor(553, "5.1.3", "Bad address: ", reason) }
func replyNoRelay(address string) Reply {
	return replyFor(550, "5.7.1", "<", address, ">... Relaying denied")
}
func replyUnknownUser(address string) Reply {
	return replyFor(550, "5.1.1", "<", address, ">... User unknown")
}
func replyNotOffered(keyword string) Reply {
	return replyFor(555, "5.5.4", "Parameter ", keyword, " is not offered").asFault()
}

// Replies that end a session.

func replyQuit(host string) Reply {
	return replyFor(221, "2.0.0", host, " Closing connection").closing()
}
func replyStopping(host string) Reply {
	return replyFor(421, "4.3.2", host, " Shutting down, try again").closing()
}
func replyTimeout(host string) Reply {
	return replyFor(421, "4.4.2", host, " Timeout, closing connection").closing()
}
func replyTooSlow(host string) Reply {
	return replyFor(421, "4.4.2", host, " Too slow, closing connection").closing()
}
func replyLost(host string) Reply {
	return replyFor(421, "4.4.2", host, " Connection lost").closing()
}
func replyEnough(host, what string) Reply {
	return replyFor(421, "4.7.0", host, " Too many ", what).closing()
}
func replyTLSFailed(host string) Reply {
	return replyFor(421, "4.7.0", host, " TLS failed").closing()
}

// Lines for clients that get no session.

// Unavailable is for a client that cannot be served now.
func Unavailable(host string) string {
	return "421 " + host + " Service not available, try again later"
}

// NoLog is for a client that cannot be served because nothing would be logged.
func NoLog(host string) string {
	return "421 " + host + " Service not available: no log, try again later"
}

// Denied is for a client that the table does not let in.
func Denied(host string) string { return "554 " + host + " You are not permitted to talk here" }

func replyFor(code int, enhanced string, text ...string) Reply {
	return Reply{Code: code, Enhanced: enhanced, Text: strings.Join(text, "")}
}

// asFault makes a reply count as the client's error.
func (r Reply) asFault() Reply { r.fault = true; return r }

// closing makes a reply the session's last.
func (r Reply) closing() Reply { r.Close = true; return r }

// maxReplyText leaves room for the codes and CR LF in a line of 512 octets: RFC
// 5321 4.5.3.1.5.
const maxReplyText = 512 - len("250 5.7.1 \r\n")

// append adds the reply as it is transmitted; one without a code is none. 220,
// EHLO's and 3yz never have an enhanced code; other replies have one for clients
// that said EHLO (RFC 2034).
func (r Reply) append(b []byte, enhanced bool) []byte {
	if r.Code == 0 {
		return b
	}
	for i, text := range append([]string{r.Text}, r.More...) {
		b = strconv.AppendInt(b, int64(r.Code), 10)
		if i < len(r.More) {
			b = append(b, '-')
		} else {
			b = append(b, ' ')
		}
		if enhanced && r.Enhanced != "" {
			b = append(append(b, r.Enhanced...), ' ')
		}
		b = append(append(b, envelope.CleanText(text, maxReplyText)...), '\r', '\n')
	}
	return b
}
