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
	if h.fields[h.name] != nil {
		h.text = append(h.text, line...)
	}
	return nil
}

func (h *dropHeader) field(line string) error {
	name, value, ok := strings.Cut(line, ":")
	name = strings.TrimRight(name, " \t")
	if !ok || !isHeaderName(name) {
		return h.fail("not a header field: %.80q", line)
	}
	h.endField()
	h.name, h.begin, h.text = strings.ToLower(name), h.line, append(h.text[:0], value...)
	h.left = false
	switch h.name {
	case "return-path", "bcc", "resent-bcc":
		h.left = true
	case "date":
		h.dated = true
	case "message-id":
		h.hasID = true
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

// complete ends the last field, and adds the fields that the header lacks.
func (h *dropHeader) complete() error {
	h.endField()
	if err := h.w.endLine(); err != nil {
		return err
	}
	if !h.add.Date.IsZero() && !h.dated {
		if _, err := fmt.Fprintf(h.w, "Date: %s\n", h.add.Date.UTC().Format("Mon, 02 Jan 2006 15:04:05 -0700")); err != nil {
			return err
		}
	}
	if h.add.MessageID != "" && !h.hasID {
		if _, err := fmt.Fprintf(h.w, "Message-ID: <%s>\n", h.add.MessageID); err != nil {
			return err
		}
	}
	return nil
}
