// Package dsn writes delivery status notifications: RFC 3464, and RFC 6533 where
// an address is not ASCII. It knows nothing of how they are sent.
package dsn

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"smap/spoolfmt/envelope"
)

const (
	// fullReport is how long a content may be to come back whole where RET does
	// not say.
	fullReport = 100 << 10
	// maxReturned bounds what comes back even with RET=FULL.
	maxReturned = 20 << 20
	// maxReturnedHeader bounds a header that comes back.
	maxReturnedHeader = 64 << 10
)

// maxText bounds what a report repeats of the text of another program.
const maxText = 400

// An Action is what became of a recipient, in the words of RFC 3464.
type Action string

// The actions that a report can have.
const (
	Failed    Action = "failed"
	Delayed   Action = "delayed"
	Delivered Action = "delivered"
	Relayed   Action = "relayed"
)

// A Recipient is what a report says of one recipient.
type Recipient struct {
	Path   envelope.Path
	Action Action
	Status string // the enhanced status code of RFC 3463
	Text   string
	Remote string    // the server that spoke; empty for a program
	Reply  string    // what it said, code first; empty if it is not known
	Until  time.Time // of a delay: the end of the attempts
}

// A Report is a delivery status notification for the sender of a message. All its
// recipients have the same action.
type Report struct {
	Host       string // that reports
	ID         string // of the message
	Now        time.Time
	Arrival    time.Time
	Sender     envelope.Path
	Recipients []Recipient
	Content    io.ReaderAt
	Size       int64
}

// Wants tells whether the NOTIFY parameter of a recipient asks for a report of a
// kind: FAILURE, DELAY or SUCCESS. Without the parameter, only failures are
// reported.
func Wants(to envelope.Path, kind string) bool {
	notify, ok := to.Param("NOTIFY")
	if !ok {
		return kind == "FAILURE"
	}
	for k := range strings.SplitSeq(notify, ",") {
		if strings.EqualFold(k, kind) {
			return true
		}
	}
	return false
}

// utf8 tells whether the report needs the types of RFC 6533.
func (r *Report) utf8() bool {
	for _, n := range r.Recipients {
		orcpt, _ := n.Path.Param("ORCPT")
		if !ascii(n.Path.Address) || !ascii(orcpt) {
			return true
		}
	}
	return !ascii(r.Sender.Address)
}

// value makes a text fit for a field of the part for programs, which is ASCII
// unless it is of RFC 6533's type.
func (r *Report) value(s string, limit int) string {
	s = envelope.CleanText(s, limit)
	if r.utf8() {
		return s
	}
	return strings.Map(func(c rune) rune {
		if c >= 0x80 {
			return '?'
		}
		return c
	}, s)
}

// Complete gives an address of this host its domain.
func Complete(address, host string) string {
	if _, domain := envelope.SplitAddress(address); domain == "" {
		return address + "@" + host
	}
	return address
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c >= 0x80 }) < 0
}

// Write writes the report as a message: header and three parts.
func (r *Report) Write(to io.Writer) error {
	boundary := fmt.Sprintf("=_%016x%016x", rand.Uint64(), rand.Uint64())
	w := bufio.NewWriter(to)
	subject, words := "Delivered mail", "Your message was delivered to the addresses below."
	switch r.Recipients[0].Action {
	case Failed:
		subject, words = "Undelivered mail", "Your message could not be delivered to the addresses below.\nIt will not be tried again."
	case Delayed:
		subject, words = "Delayed mail", "Your message has not been delivered yet to the addresses below.\nIt will be tried again; you need not send it again."
	case Relayed:
		words = "Your message was passed on for the addresses below. The system that took it\ndoes not report its delivery."
	}
	Header(w, r.Host, r.Sender.Address, subject, r.Now)
	fmt.Fprintf(w, "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status;\n\tboundary=%q\n", boundary)
	var people, programs strings.Builder
	r.words(&people, words)
	r.fields(&programs)
	kind := "message/delivery-status"
	if r.utf8() {
		kind = "message/global-delivery-status" // RFC 6533
	}
	back, backKind, err := r.returned()
	if err != nil {
		return err
	}
	backASCII, err := asciiOnly(back)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "Content-Transfer-Encoding: %s\n\n", encoding(ascii(people.String()) && ascii(programs.String()) && backASCII))
	fmt.Fprintf(w, "--%s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: %s\n\n%s", boundary, encoding(ascii(people.String())), &people)
	fmt.Fprintf(w, "\n--%s\nContent-Type: %s\nContent-Transfer-Encoding: %s\n\n%s", boundary, kind, encoding(ascii(programs.String())), &programs)
	fmt.Fprintf(w, "\n--%s\nContent-Type: %s\nContent-Transfer-Encoding: %s\n\n", boundary, backKind, encoding(backASCII))
	if _, err := io.Copy(w, io.NewSectionReader(back, 0, back.Size())); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n--%s--\n", boundary)
	return w.Flush()
}

// Header writes the header fields that every message of a courier begins with.
func Header(w io.Writer, host, to, subject string, now time.Time) {
	fmt.Fprintf(w, "Date: %s\nFrom: Mail Delivery System <MAILER-DAEMON@%s>\nTo: <%s>\nSubject: %s\n",
		mailDate(now), host, Complete(to, host), subject)
	fmt.Fprintf(w, "Message-ID: <%s@%s>\nAuto-Submitted: auto-replied\n", envelope.NewID(now), host)
}

func mailDate(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000") }

// words is the part for people.
func (r *Report) words(w io.Writer, first string) {
	fmt.Fprintln(w, first)
	for _, n := range r.Recipients {
		fmt.Fprintf(w, "\n<%s>\n    %s\n", n.Path.Address, envelope.CleanText(n.Text, maxText))
	}
	fmt.Fprintf(w, "\nThis is %s, about the message with the id %s.\n", r.Host, r.ID)
}

// fields is the part for programs: RFC 3464 section 2.
func (r *Report) fields(w io.Writer) {
	fmt.Fprintf(w, "Reporting-MTA: dns; %s\n", r.Host)
	if id, ok := r.Sender.Param("ENVID"); ok {
		fmt.Fprintf(w, "Original-Envelope-Id: %s\n", r.value(unxtext(id), 500))
	}
	fmt.Fprintf(w, "Arrival-Date: %s\n", mailDate(r.Arrival))
	for _, n := range r.Recipients {
		fmt.Fprintln(w)
		if o, ok := n.Path.Param("ORCPT"); ok {
			kind, address, _ := strings.Cut(o, ";")
			fmt.Fprintf(w, "Original-Recipient: %s; %s\n", kind, r.value(unxtext(address), 500))
		}
		kind := "rfc822"
		if !ascii(n.Path.Address) {
			kind = "utf-8"
		}
		fmt.Fprintf(w, "Final-Recipient: %s; %s\nAction: %s\nStatus: %s\n", kind, Complete(n.Path.Address, r.Host), n.Action, n.Status)
		if n.Remote != "" {
			fmt.Fprintf(w, "Remote-MTA: dns; %s\n", r.value(n.Remote, 255))
		}
		if n.Reply != "" {
			fmt.Fprintf(w, "Diagnostic-Code: smtp; %s\n", r.value(n.Reply, maxText))
		} else if n.Text != "" {
			fmt.Fprintf(w, "Diagnostic-Code: x-unix; %s\n", r.value(n.Text, maxText))
		}
		fmt.Fprintf(w, "Last-Attempt-Date: %s\n", mailDate(r.Now))
		if !n.Until.IsZero() {
			fmt.Fprintf(w, "Will-Retry-Until: %s\n", mailDate(n.Until))
		}
	}
}

// encoding is the Content-Transfer-Encoding of a part.
func encoding(ascii bool) string {
	if ascii {
		return "7bit"
	}
	return "8bit"
}

// asciiOnly tells whether all octets are ASCII.
func asciiOnly(r *io.SectionReader) (bool, error) {
	buf := make([]byte, 32<<10)
	for at := int64(0); at < r.Size(); {
		n, err := r.ReadAt(buf, at)
		if bytes.IndexFunc(buf[:n], func(c rune) bool { return c >= 0x80 }) >= 0 {
			return false, nil
		}
		at += int64(n)
		if err != nil && at < r.Size() {
			return false, err
		}
	}
	return true, nil
}

// returned is the message itself or its header, as RET asks, and its type.
func (r *Report) returned() (*io.SectionReader, string, error) {
	ret, _ := r.Sender.Param("RET")
	full := r.Size <= fullReport || strings.EqualFold(ret, "FULL") && r.Size <= maxReturned
	if strings.EqualFold(ret, "HDRS") || r.Recipients[0].Action != Failed {
		full = false // RFC 3461: only failures bring the content back
	}
	kinds := map[bool]string{true: "message/rfc822", false: "text/rfc822-headers"}
	if r.utf8() {
		kinds = map[bool]string{true: "message/global", false: "message/global-headers"}
	}
	if full {
		return io.NewSectionReader(r.Content, 0, r.Size), kinds[true], nil
	}
	head := make([]byte, min(r.Size, maxReturnedHeader))
	if _, err := io.ReadFull(io.NewSectionReader(r.Content, 0, r.Size), head); err != nil && len(head) > 0 {
		return nil, "", err
	}
	n := len(head)
	if i := bytes.Index(head, []byte("\n\n")); i >= 0 {
		n = i + 1
	} else if i := bytes.LastIndexByte(head, '\n'); i >= 0 {
		n = i + 1
	}
	return io.NewSectionReader(bytes.NewReader(head), 0, int64(n)), kinds[false], nil
}

// unxtext decodes xtext (RFC 3461 section 4). What comes out is not fit for a
// header line yet: it may hold anything.
func unxtext(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '+' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				b.WriteByte(byte(n))
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}
