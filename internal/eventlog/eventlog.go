// Package eventlog writes what happens as lines that administrators and
// programs read alike: the event's name, then key=value for each detail.
//
//	message id=20261123T200413.123456Z-7f3a9c1e2b4d5e6f size=4711
//
// A value that a stranger chose cannot forge a line or a value: whatever is not
// plain is quoted and escaped, and its length is bounded.
package eventlog

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Limits of a line, in octets.
const (
	maxValue  = 512
	maxQuoted = 640  // a value with what makes it plain; three fit into a line
	maxLine   = 2000 // with more, some syslog daemons cut
	usualLine = 256
)

// Open returns a logger that writes to "syslog" (facility mail) or "stderr".
// The connection to syslog is made here and kept, so that it serves in a
// chroot, too. program is the tag.
func Open(dest, program string) (*slog.Logger, io.Closer, error) {
	switch dest {
	case "syslog":
		s, err := dialSyslog(program)
		if err != nil {
			return nil, nil, err
		}
		return slog.New(&handler{out: s, mu: new(sync.Mutex)}), s, nil
	case "stderr":
		return New(os.Stderr, program), io.NopCloser(nil), nil
	}
	return nil, nil, fmt.Errorf("log %q: neither syslog nor stderr", dest)
}

// New returns a logger that writes lines to w, each with the time in UTC and
// the program in front.
func New(w io.Writer, program string) *slog.Logger {
	return slog.New(&handler{out: &lines{w: w, program: program}, mu: new(sync.Mutex)})
}

// A sink takes one line, without its end.
type sink interface {
	line(t time.Time, level slog.Level, text string) error
}

// A handler formats records; see [slog.Handler].
type handler struct {
	out   sink
	mu    *sync.Mutex
	attrs string // of With, formatted already
	group string
}

// Enabled is true from Info on.
func (h *handler) Enabled(_ context.Context, l slog.Level) bool { return l >= slog.LevelInfo }

// Handle writes one record.
func (h *handler) Handle(_ context.Context, r slog.Record) error {
	b := append(make([]byte, 0, usualLine), clean(r.Message)...)
	b = append(b, h.attrs...)
	r.Attrs(func(a slog.Attr) bool {
		b = appendAttr(b, h.group, a)
		return true
	})
	text := string(b)
	if len(text) > maxLine {
		text = strings.ToValidUTF8(text[:maxLine], "") + " ..."
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.out.line(r.Time, r.Level, text)
}

// WithAttrs returns a handler whose records have more values.
func (h *handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	b := []byte(h.attrs)
	for _, a := range attrs {
		b = appendAttr(b, h.group, a)
	}
	return &handler{out: h.out, mu: h.mu, attrs: string(b), group: h.group}
}

// WithGroup returns a handler whose further keys begin with the group's name.
func (h *handler) WithGroup(name string) slog.Handler {
	return &handler{out: h.out, mu: h.mu, attrs: h.attrs, group: h.group + name + "."}
}

// appendAttr appends " key=value"; an empty value is left out.
func appendAttr(b []byte, group string, a slog.Attr) []byte {
	v := a.Value.Resolve()
	if v.Kind() == slog.KindGroup {
		for _, inner := range v.Group() {
			b = appendAttr(b, group+a.Key+".", inner)
		}
		return b
	}
	if s := v.String(); s != "" {
		b = append(append(b, ' '), clean(group+a.Key)...)
		b = append(append(b, '='), Quote(s)...)
	}
	return b
}

// Quote returns a value as it is in a line: as it is when it is plain,
// otherwise in double quotes with everything escaped that is not printable
// ASCII. What is too long to be so is cut, and ends in three dots.
func Quote(s string) string {
	cut := ""
	if len(s) > maxValue {
		s, cut = s[:maxValue], "..."
	}
	for i := 0; i < len(s); i++ {
		if c := s[i]; c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=' {
			q := strconv.QuoteToASCII(s)
			for len(q) > maxQuoted { // else the line could lack the values behind it
				s, cut = s[:len(s)/2], "..."
				q = strconv.QuoteToASCII(s)
			}
			return q + cut
		}
	}
	return s + cut
}

// clean makes an event's name fit, should one ever hold a stranger's octets.
func clean(s string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r >= 0x7f && r <= 0x9f {
			return '?'
		}
		return r
	}, s)
}

// lines is the sink for a terminal or a file.
type lines struct {
	w       io.Writer
	program string
}

func (l *lines) line(t time.Time, _ slog.Level, text string) error {
	b := t.UTC().AppendFormat(make([]byte, 0, usualLine), "2006-01-02T15:04:05.000Z ")
	b = append(append(b, l.program...), ": "...)
	_, err := l.w.Write(append(append(b, text...), '\n'))
	return err
}
