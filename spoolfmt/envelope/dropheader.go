package envelope

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strings"
)

// MaxDropHeader is the most octets that the header of a drop may have.
const MaxDropHeader = 1 << 20

// ReadDropHeader reads the header of a single-file drop: SPOOL-FORMAT.md, the
// single-file drop. It writes the lines that belong into the content, and the
// empty line if there was one, to w, and leaves r at the body. An error is a
// *[ParseError], or one of reading and writing.
func ReadDropHeader(r *bufio.Reader, w io.Writer) (sender Path, recipients []Path, err error) {
	h := dropHeader{r: r, w: w, values: make(map[string][]headerValue)}
	if err := h.read(); err != nil {
		return Path{}, nil, err
	}
	if sender, err = h.sender(); err != nil {
		return Path{}, nil, err
	}
	if recipients, err = h.recipients(); err != nil {
		return Path{}, nil, err
	}
	return sender, recipients, nil
}

// A headerValue is an unfolded field's value and the line it begins on.
type headerValue struct {
	line int
	text []byte // grows by continuations, of which there may be a million
}

// dropHeader reads the lines of a header and keeps the fields that have
// addresses.
type dropHeader struct {
	r      *bufio.Reader
	w      io.Writer
	line   int
	size   int
	values map[string][]headerValue // by lower-case name
	name   string                   // of the field that a continuation belongs to; "" before the first
	drop   bool                     // the present field is not for the content
}

func (h *dropHeader) fail(format string, args ...any) error {
	return &ParseError{Line: h.line, Column: 1, Err: fmt.Errorf(format, args...)}
}

func (h *dropHeader) read() error {
	for {
		text, err := h.next()
		if err != nil || text == "" {
			return err
		}
		line := strings.TrimSuffix(text, "\n")
		if i := strings.IndexAny(line, "\r\x00"); i >= 0 {
			return &ParseError{Line: h.line, Column: i + 1, Err: fmt.Errorf("%q in the header", line[i:i+1])}
		}
		switch {
		case line == "":
			_, err := io.WriteString(h.w, text)
			return err
		case h.line == 1 && strings.HasPrefix(line, "From "):
			continue // a mailbox's separator
		case line[0] == ' ' || line[0] == '\t':
			err = h.continuation(line)
		default:
			err = h.field(line)
		}
		if err == nil && !h.drop {
			_, err = io.WriteString(h.w, text)
		}
		if err != nil {
			return err
		}
	}
}

// next returns a line with its LF, the last one perhaps without, and "" at the
// end of the file.
func (h *dropHeader) next() (string, error) {
	h.line++
	var long strings.Builder
	for {
		chunk, err := h.r.ReadSlice('\n')
		h.size += len(chunk)
		ends := long.Len() == 0 && string(chunk) == "\n" // the empty line is not counted
		if h.size > MaxDropHeader && !ends {
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
	if !ok || !isFieldName(name) {
		return h.fail("not a header field: %.80q", line)
	}
	h.name = strings.ToLower(name)
	switch h.name {
	case "return-path", "bcc", "resent-bcc":
		h.drop = true
	default:
		h.drop = false
	}
	switch h.name {
	case "return-path", "sender", "from", "resent-sender", "resent-from",
		"to", "cc", "bcc", "resent-to", "resent-cc", "resent-bcc":
		h.values[h.name] = append(h.values[h.name], headerValue{h.line, []byte(value)})
	}
	return nil
}

// isFieldName is RFC 5322's ftext.
func isFieldName(name string) bool {
	for i := 0; i < len(name); i++ {
		if name[i] < 33 || name[i] > 126 {
			return false
		}
	}
	return name != ""
}

func (h *dropHeader) resent() bool {
	return h.values["resent-to"] != nil || h.values["resent-cc"] != nil || h.values["resent-bcc"] != nil
}

// sender returns the first address of the first field that names one.
func (h *dropHeader) sender() (Path, error) {
	if v := h.values["return-path"]; v != nil {
		if strings.Trim(string(v[0].text), " \t") == "<>" {
			return Path{}, nil
		}
		return h.first(v[0])
	}
	names := []string{"sender", "from"}
	if h.resent() {
		names = []string{"resent-sender", "resent-from", "sender", "from"}
	}
	for _, name := range names {
		if v := h.values[name]; v != nil {
			return h.first(v[0])
		}
	}
	return Path{}, h.fail("no Return-Path, Sender or From field: the message has no sender")
}

func (h *dropHeader) first(v headerValue) (Path, error) {
	list, err := parseAddressList(v)
	if err != nil {
		return Path{}, err
	}
	if len(list) == 0 {
		return Path{}, &ParseError{Line: v.line, Column: 1, Err: errors.New("no address of a sender")}
	}
	return Path{Address: list[0]}, nil
}

// recipients returns the addresses of all fields that name some, each once.
func (h *dropHeader) recipients() ([]Path, error) {
	names := []string{"to", "cc", "bcc"}
	if h.resent() {
		names = []string{"resent-to", "resent-cc", "resent-bcc"}
	}
	var paths []Path
	seen := make(map[string]bool)
	for _, name := range names {
		for _, v := range h.values[name] {
			list, err := parseAddressList(v)
			if err != nil {
				return nil, err
			}
			for _, address := range list {
				if !seen[address] {
					seen[address] = true
					paths = append(paths, Path{Address: address})
				}
			}
			if len(paths) > MaxRecipients {
				return nil, &ParseError{Line: v.line, Column: 1, Err: fmt.Errorf("more than %d recipients", MaxRecipients)}
			}
		}
	}
	if len(paths) == 0 {
		return nil, h.fail("no recipient in To, Cc or Bcc")
	}
	return paths, nil
}
