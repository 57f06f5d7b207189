package envelope

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// next returns a line with its LF, the last one perhaps without, and "" at the
// end of the drop.
func (h *dropHeader) next() (string, error) {
	h.line++
	var long strings.Builder
	for {
		chunk, err := h.in.ReadSlice('\n')
		h.size += len(chunk)
		empty := long.Len() == 0 && string(chunk) == "\n" // is not counted
		if err == nil && h.ends.crlf {
			h.size++
		}
		if h.size > MaxDropHeader && !empty {
			return "", h.fail("header of more than %d octets", MaxDropHeader)
		}
		if err == nil && long.Len() == 0 {
			return string(chunk), nil
		}
		long.Write(chunk)
		switch {
		case err == nil || err == io.EOF:
			return long.String(), nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return "", err
		}
	}
}

// take takes one line of the header.
func (h *dropHeader) take(text string) error {
	line := strings.TrimSuffix(text, "\n")
	var err error
	switch {
	case h.line == 1 && strings.HasPrefix(line, "From "):
		return nil // a mailbox's separator
	case line[0] == ' ' || line[0] == '\t':
		err = h.continuation(line)
	default:
		err = h.field(line)
	}
	if err == nil && !h.left {
		_, err = io.WriteString(h.w, text)
	}
	return err
}

func (h *dropHeader) continuation(line string) error {
	if h.name == "" {
		return h.fail("a continuation before the first field: %.80q", line)
	}
	if v := h.values[h.name]; v != nil {
		last := &v[len(v)-1]
		last.text = append(last.text, line...)
	}
	return nil
}

func (h *dropHeader) field(line string) error {
	name, value, ok := strings.Cut(line, ":")
	name = strings.TrimRight(name, " \t")
	if !ok || !isHeaderName(name) {
		return h.fail("not a header field: %.80q", line)
	}
	h.name = strings.ToLower(name)
	switch h.name {
	case "return-path", "bcc", "resent-bcc":
		h.left = true
	default:
		h.left = false
	}
	switch h.name {
	case "date", "message-id":
		h.values[h.name] = []headerValue{{}} // it matters only that it exists
	case "return-path", "sender", "from", "resent-sender", "resent-from",
		"to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc":
		h.values[h.name] = append(h.values[h.name], headerValue{h.line, []byte(value)})
	}
	return nil
}

// isHeaderName is RFC 5322's ftext.
func isHeaderName(name string) bool {
	for i := 0; i < len(name); i++ {
		if name[i] < 33 || name[i] > 126 {
			return false
		}
	}
	return name != ""
}

// complete adds the fields that the header lacks, after its last field.
func (h *dropHeader) complete() error {
	if err := h.w.endLine(); err != nil {
		return err
	}
	if !h.add.Date.IsZero() && h.values["date"] == nil {
		if _, err := fmt.Fprintf(h.w, "Date: %s\n", h.add.Date.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700")); err != nil {
			return err
		}
	}
	if h.add.MessageID != "" && h.values["message-id"] == nil {
		if _, err := fmt.Fprintf(h.w, "Message-ID: <%s>\n", h.add.MessageID); err != nil {
			return err
		}
	}
	return nil
}
