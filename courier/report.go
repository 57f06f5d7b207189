package courier

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"time"

	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// fieldReport marks an envelope that the courier wrote, with what it is.
// Reports have the null sender, so none is ever answered by another.
const fieldReport = "X-Smapd-Report"

const (
	// fullReport is how long a content may be to come back whole where RET does
	// not say.
	fullReport = 100 << 10
	// maxReturned bounds what comes back even with RET=FULL.
	maxReturned = 20 << 20
	// maxReturnedHeader bounds a header that comes back.
	maxReturnedHeader = 64 << 10
)

// A notice is what a report says of one recipient.
type notice struct {
	to     envelope.Path
	action string // of RFC 3464: failed, delayed, delivered, relayed
	status string
	text   string
	remote string
	until  time.Time // delayed: tried until then
}

// A dsn is a delivery status notification for the sender of a message.
type dsn struct {
	host     string
	id       string
	now      time.Time
	arrival  time.Time
	sender   envelope.Path
	notices  []notice
	content  *os.File
	size     int64
	boundary string
}

// wants tells whether a recipient's NOTIFY asks for a report of that kind;
// without NOTIFY, failures are reported and nothing else.
func wants(to envelope.Path, kind string) bool {
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

// feed writes the report and commits it to the spool. A crash between this and
// the record of what was reported makes the report come again, once for each
// crash: that is better than a sender who never hears.
func (r *dsn) feed(sp *spoolfmt.Spool, kind reportKind) (string, error) {
	r.boundary = fmt.Sprintf("=_%016x%016x", rand.Uint64(), rand.Uint64())
	return feedReport(sp, r.sender.Address, kind.String()+" "+r.id, r.write)
}

// feedReport commits a message of ours: null sender, one recipient, marked.
func feedReport(sp *spoolfmt.Spool, to, kind string, write func(io.Writer) error) (string, error) {
	from := envelope.Path{Params: []envelope.Param{{Keyword: "BODY", Value: "8BITMIME", HasValue: true}}}
	if !ascii(to) {
		from.Params = append(from.Params, envelope.Param{Keyword: "SMTPUTF8"})
	}
	env, err := envelope.New(from, []envelope.Path{{Address: to}})
	if err != nil {
		return "", err
	}
	if err := env.Set(fieldReport, kind); err != nil {
		return "", err
	}
	if err := env.Set("Received-At", envelope.FormatTime(time.Now())); err != nil {
		return "", err
	}
	d, err := sp.NewDraft()
	if err != nil {
		return "", err
	}
	if err := write(d); err != nil {
		return "", fmt.Errorf("report: %w", joinAbort(err, d))
	}
	if err := d.Commit(env); err != nil {
		return "", fmt.Errorf("report: %w", joinAbort(err, d))
	}
	return d.ID(), nil
}

func joinAbort(err error, d *spoolfmt.Draft) error {
	if aerr := d.Abort(); aerr != nil {
		return fmt.Errorf("%w; and %w", err, aerr)
	}
	return err
}

// utf8 tells whether the report needs the types of RFC 6533.
func (r *dsn) utf8() bool {
	for _, n := range r.notices {
		orcpt, _ := n.to.Param("ORCPT")
		if !ascii(n.to.Address) || !ascii(orcpt) {
			return true
		}
	}
	return !ascii(r.sender.Address)
}

// value makes a text fit for a field of the part for programs, which is ASCII
// unless it is of RFC 6533's type.
func (r *dsn) value(s string, limit int) string {
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

// complete gives an address of this host its domain, which header fields want.
func complete(address, host string) string {
	if _, domain := envelope.SplitAddress(address); domain == "" {
		return address + "@" + host
	}
	return address
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c >= 0x80 }) < 0
}

func (r *dsn) write(to io.Writer) error {
	w := bufio.NewWriter(to)
	subject, words := "Delivered mail", "Your message was delivered to the addresses below."
	switch r.notices[0].action {
	case "failed":
		subject, words = "Undelivered mail", "Your message could not be delivered to the addresses below.\nIt will not be tried again."
	case "delayed":
		subject, words = "Delayed mail", "Your message has not been delivered yet to the addresses below.\nIt will be tried again; you need not send it again."
	case "relayed":
		words = "Your message was passed on for the addresses below. The system that took it\ndoes not report its delivery."
	}
	header(w, r.host, r.sender.Address, subject, r.now)
	fmt.Fprintf(w, "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status;\n\tboundary=%q\n", r.boundary)
	fmt.Fprintf(w, "Content-Transfer-Encoding: 8bit\n\n")
	fmt.Fprintf(w, "--%s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n", r.boundary)
	r.words(w, words)
	kind := "message/delivery-status"
	if r.utf8() {
		kind = "message/global-delivery-status" // RFC 6533
	}
	fmt.Fprintf(w, "\n--%s\nContent-Type: %s\n\n", r.boundary, kind)
	r.fields(w)
	if err := r.returned(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "\n--%s--\n", r.boundary)
	return w.Flush()
}

// header writes what all messages of ours begin with.
func header(w io.Writer, host, to, subject string, now time.Time) {
	fmt.Fprintf(w, "Date: %s\nFrom: Mail Delivery System <MAILER-DAEMON@%s>\nTo: <%s>\nSubject: %s\n",
		mailDate(now), host, complete(to, host), subject)
	fmt.Fprintf(w, "Message-ID: <%s@%s>\nAuto-Submitted: auto-replied\n", envelope.NewID(now), host)
}

func mailDate(t time.Time) string { return t.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000") }

// words is the part for people.
func (r *dsn) words(w io.Writer, first string) {
	fmt.Fprintln(w, first)
	for _, n := range r.notices {
		fmt.Fprintf(w, "\n<%s>\n    %s\n", n.to.Address, envelope.CleanText(n.text, maxText))
	}
	fmt.Fprintf(w, "\nThis is %s, about the message with the id %s.\n", r.host, r.id)
}

// fields is the part for programs: RFC 3464 section 2.
func (r *dsn) fields(w io.Writer) {
	fmt.Fprintf(w, "Reporting-MTA: dns; %s\n", r.host)
	if id, ok := r.sender.Param("ENVID"); ok {
		fmt.Fprintf(w, "Original-Envelope-Id: %s\n", r.value(unxtext(id), 500))
	}
	fmt.Fprintf(w, "Arrival-Date: %s\n", mailDate(r.arrival))
	for _, n := range r.notices {
		fmt.Fprintln(w)
		if o, ok := n.to.Param("ORCPT"); ok {
			kind, address, _ := strings.Cut(o, ";")
			fmt.Fprintf(w, "Original-Recipient: %s; %s\n", kind, r.value(unxtext(address), 500))
		}
		kind := "rfc822"
		if !ascii(n.to.Address) {
			kind = "utf-8"
		}
		fmt.Fprintf(w, "Final-Recipient: %s; %s\nAction: %s\nStatus: %s\n", kind, complete(n.to.Address, r.host), n.action, n.status)
		diagnostic := "x-smapd"
		if n.remote != "" {
			fmt.Fprintf(w, "Remote-MTA: dns; %s\n", r.value(n.remote, 255))
			diagnostic = "smtp"
		}
		if n.text != "" {
			fmt.Fprintf(w, "Diagnostic-Code: %s; %s\n", diagnostic, r.value(n.text, maxText))
		}
		fmt.Fprintf(w, "Last-Attempt-Date: %s\n", mailDate(r.now))
		if !n.until.IsZero() {
			fmt.Fprintf(w, "Will-Retry-Until: %s\n", mailDate(n.until))
		}
	}
}

// returned is the message itself or its header, as RET asks.
func (r *dsn) returned(w io.Writer) error {
	ret, _ := r.sender.Param("RET")
	full := r.size <= fullReport || strings.EqualFold(ret, "FULL") && r.size <= maxReturned
	if strings.EqualFold(ret, "HDRS") || r.notices[0].action != "failed" {
		full = false // RFC 3461: only failures bring the content back
	}
	kind := "text/rfc822-headers"
	if full {
		kind = "message/rfc822"
	}
	if r.utf8() {
		kind = "message/global-headers"
		if full {
			kind = "message/global"
		}
	}
	fmt.Fprintf(w, "\n--%s\nContent-Type: %s\nContent-Transfer-Encoding: 8bit\n\n", r.boundary, kind)
	content := io.NewSectionReader(r.content, 0, r.size)
	if full {
		_, err := io.Copy(w, content)
		return err
	}
	head := make([]byte, min(r.size, maxReturnedHeader))
	n, err := io.ReadFull(content, head)
	if err != nil {
		return err
	}
	head = head[:n]
	if i := bytes.Index(head, []byte("\n\n")); i >= 0 {
		head = head[:i+1]
	} else if i := bytes.LastIndexByte(head, '\n'); i >= 0 {
		head = head[:i+1]
	}
	_, err = w.Write(head)
	return err
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
