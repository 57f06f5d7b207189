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
)

// fieldReport marks an envelope that the courier wrote, with what it is.
// Reports have the null sender, so none is ever answered by another.
const fieldReport = "Courier-Report"

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
	to     spoolfmt.Path
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
	sender   spoolfmt.Path
	notices  []notice
	content  *os.File
	size     int64
	boundary string
}

// wants tells whether a recipient's NOTIFY asks for a report of that kind;
// without NOTIFY, failures are reported and nothing else.
func wants(to spoolfmt.Path, kind string) bool {
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

// feed writes the report and commits it to the spool.
func (r *dsn) feed(sp *spoolfmt.Spool, kind string) (string, error) {
	r.boundary = fmt.Sprintf("=_%016x%016x", rand.Uint64(), rand.Uint64())
	return feedReport(sp, r.sender.Address, kind+" "+r.id, r.write)
}

// feedReport commits a message of ours: null sender, one recipient, marked.
func feedReport(sp *spoolfmt.Spool, to, kind string, write func(io.Writer) error) (string, error) {
	env, err := spoolfmt.NewEnvelope(spoolfmt.Path{}, []spoolfmt.Path{{Address: to}})
	if err != nil {
		return "", err
	}
	if err := env.Set(fieldReport, kind); err != nil {
		return "", err
	}
	if err := env.Set("Received-At", spoolfmt.FormatTime(time.Now())); err != nil {
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

func (r *dsn) utf8() bool {
	for _, n := range r.notices {
		if !ascii(n.to.Address) {
			return true
		}
	}
	return !ascii(r.sender.Address)
}

func ascii(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c >= 0x80 }) < 0
}

func (r *dsn) write(to io.Writer) error {
	w := bufio.NewWriter(to)
	subject := map[string]string{"failed": "Undelivered mail", "delayed": "Delayed mail",
		"delivered": "Delivered mail", "relayed": "Delivered mail"}[r.notices[0].action]
	header(w, r.host, r.sender.Address, subject, r.now)
	fmt.Fprintf(w, "MIME-Version: 1.0\nContent-Type: multipart/report; report-type=delivery-status;\n\tboundary=%q\n", r.boundary)
	fmt.Fprintf(w, "Content-Transfer-Encoding: 8bit\n\n")
	fmt.Fprintf(w, "--%s\nContent-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n", r.boundary)
	r.words(w)
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
		now.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000"), host, to, subject)
	fmt.Fprintf(w, "Message-ID: <%s@%s>\nAuto-Submitted: auto-replied\n", spoolfmt.NewID(now), host)
}

// words is the part for people.
func (r *dsn) words(w io.Writer) {
	switch r.notices[0].action {
	case "failed":
		fmt.Fprintf(w, "Your message could not be delivered to the addresses below.\nIt will not be tried again.\n")
	case "delayed":
		fmt.Fprintf(w, "Your message has not been delivered yet to the addresses below.\nIt will be tried again; you need not send it again.\n")
	default:
		fmt.Fprintf(w, "Your message was delivered to the addresses below.\n")
	}
	for _, n := range r.notices {
		fmt.Fprintf(w, "\n<%s>\n    %s\n", n.to.Address, spoolfmt.Text(n.text, maxText))
	}
	fmt.Fprintf(w, "\nThis is %s, about the message with the id %s.\n", r.host, r.id)
}

// fields is the part for programs: RFC 3464 section 2.
func (r *dsn) fields(w io.Writer) {
	fmt.Fprintf(w, "Reporting-MTA: dns; %s\n", r.host)
	if id, ok := r.sender.Param("ENVID"); ok {
		fmt.Fprintf(w, "Original-Envelope-Id: %s\n", unxtext(id))
	}
	fmt.Fprintf(w, "Arrival-Date: %s\n", r.arrival.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000"))
	for _, n := range r.notices {
		fmt.Fprintln(w)
		if o, ok := n.to.Param("ORCPT"); ok {
			kind, address, _ := strings.Cut(o, ";")
			fmt.Fprintf(w, "Original-Recipient: %s;%s\n", kind, unxtext(address))
		}
		kind := "rfc822"
		if !ascii(n.to.Address) {
			kind = "utf-8"
		}
		fmt.Fprintf(w, "Final-Recipient: %s; %s\nAction: %s\nStatus: %s\n", kind, n.to.Address, n.action, n.status)
		diagnostic := "x-smapd"
		if n.remote != "" {
			fmt.Fprintf(w, "Remote-MTA: dns; %s\n", spoolfmt.Text(n.remote, 255))
			diagnostic = "smtp"
		}
		if n.text != "" {
			fmt.Fprintf(w, "Diagnostic-Code: %s; %s\n", diagnostic, spoolfmt.Text(n.text, maxText))
		}
		fmt.Fprintf(w, "Last-Attempt-Date: %s\n", r.now.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000"))
		if !n.until.IsZero() {
			fmt.Fprintf(w, "Will-Retry-Until: %s\n", n.until.UTC().Format("Mon, 02 Jan 2006 15:04:05 +0000"))
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
		kind = map[bool]string{true: "message/global", false: "message/global-headers"}[full]
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

// unxtext decodes xtext (RFC 3461 section 4) and makes it fit for a header
// line.
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
	return spoolfmt.Text(b.String(), 500)
}
