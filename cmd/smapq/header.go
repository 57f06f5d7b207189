package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"smap/internal/sysexits"
	"smap/spoolfmt/envelope"
)

// A header is the beginning of a message, up to and with the empty line.
type header struct {
	text  []byte
	names map[string]bool // fields that it has, in lower case
	hops  int             // Received fields
	rest  []byte          // the first of the body, where that was read already
}

// maxHops is how many Received fields a message may have: with more it goes round
// in a loop (RFC 5321 section 6.3).
const maxHops = 100

// readHeader reads the header. A message that does not begin with a field has
// none, and one whose header meets a line that is no field ends there, as
// sendmail does it.
func readHeader(in *cleaner) (*header, error) {
	h := &header{names: make(map[string]bool)}
	for {
		line, err := in.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		if in.lines == 1 && bytes.HasPrefix(line, []byte("From ")) {
			continue // a mailbox's separator
		}
		if len(line) == 1 {
			break
		}
		name, ok := fieldName(line)
		if !ok && !(len(h.text) > 0 && (line[0] == ' ' || line[0] == '\t' || in.within)) {
			h.rest = bytes.Clone(line)
			break
		}
		if ok {
			h.names[name] = true
		}
		if name == "received" {
			h.hops++
		}
		h.text = append(h.text, line...)
		if len(h.text) > envelope.MaxDropHeader {
			return nil, failf(sysexits.DataErr, "the message's header has more than %d octets", envelope.MaxDropHeader)
		}
	}
	if h.hops > maxHops {
		return nil, failf(sysexits.DataErr, "the message has %d Received fields: it is in a mail loop", h.hops)
	}
	h.text = append(h.text, '\n')
	return h, nil
}

// mailTime is the date of RFC 5322.
const mailTime = "Mon, 02 Jan 2006 15:04:05 -0700"

// fieldName returns the lower-case name of the field that begins on a line.
func fieldName(line []byte) (string, bool) {
	name, _, ok := bytes.Cut(line, []byte{':'})
	name = bytes.TrimRight(name, " \t")
	if !ok || len(name) == 0 {
		return "", false
	}
	for _, c := range name {
		if c <= ' ' || c >= 0x7f {
			return "", false
		}
	}
	return strings.ToLower(string(name)), true
}

// complete puts our Received field in front, and the fields that RFC 5322 wants
// and that are missing. login is the user who sends it, name what people call
// them.
func (h *header) complete(login, name string, uid int, now time.Time, id string) {
	var b strings.Builder
	fmt.Fprintf(&b, "Received: by %s (smapq, from uid %d) id %s;\n\t%s\n", hostName(), uid, id, now.Format(mailTime))
	if !h.names["date"] {
		fmt.Fprintf(&b, "Date: %s\n", now.Format(mailTime))
	}
	if !h.names["message-id"] {
		fmt.Fprintf(&b, "Message-ID: <%s@%s>\n", id, hostName())
	}
	if !h.names["from"] {
		address := login + "@" + hostName()
		name = envelope.CleanText(name, 200)
		if name != "" {
			address = quoted(name) + " <" + address + ">"
		}
		fmt.Fprintf(&b, "From: %s\n", address)
	}
	h.text = append([]byte(b.String()), h.text...)
}

// quoted makes a name a quoted string of RFC 5322.
func quoted(name string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(name) + `"`
}

// addressees takes sender and recipients from the header, as a drop's, and
// writes what of it belongs into the content. Recipients that were typed come
// in as another Bcc, so that nobody gets the message twice.
func (h *header) addressees(w io.Writer, typed []envelope.Path) (envelope.Path, []envelope.Path, error) {
	text := h.text
	if len(typed) > 0 {
		field := "Bcc: "
		if h.names["resent-to"] || h.names["resent-cc"] || h.names["resent-bcc"] {
			field = "Resent-Bcc: "
		}
		list := make([]string, len(typed))
		for i, p := range typed {
			list[i] = "<" + p.Address + ">"
		}
		text = append([]byte(field+strings.Join(list, ",\n ")+"\n"), text...)
	}
	return envelope.ReadDrop(bytes.NewReader(text), w, envelope.Missing{})
}
