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

// Every text that a client can read is in this file.
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
	replyHeloName   = Reply{Code: 501, Enhanced: "5.5.4", Text: "HELO and EHLO require a domain or an address literal", fault: true}
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
	replyNullRcpt   = Reply{Code: 553, Enhanced: "5.1.3", Text: "A recipient needs an address", fault: true}
	replyNeedUTF8   = Reply{Code: 553, Enhanced: "5.6.7", Text: "Address beyond ASCII needs the SMTPUTF8 parameter"}
	replyNoDomain   = Reply{Code: 553, Enhanced: "5.1.3", Text: "Recipient needs a domain"}
	replyManyRcpts  = Reply{Code: 452, Enhanced: "4.5.3", Text: "Too many recipients"}
	replyTooBig     = Reply{Code: 552, Enhanced: "5.3.4", Text: "Message too big"}
	replyFull       = Reply{Code: 452, Enhanced: "4.3.1", Text: "Not enough room in the spool, try later"}
	replySystem     = Reply{Code: 451, Enhanced: "4.3.0", Text: "System trouble, try later"}
	replyLoop       = Reply{Code: 554, Enhanced: "5.4.6", Text: "Too many Received lines: a mail loop"}
	replyBareLine   = Reply{Code: 550, Enhanced: "5.5.2", Text: "Lines must end in CR LF, and NUL is not allowed", Close: true}
	replyEarly      = Reply{Code: 554, Enhanced: "5.5.0", Text: "You talk before your turn", Close: true}
)

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
