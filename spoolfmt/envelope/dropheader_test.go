package envelope

import (
	"bufio"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

func TestAddressList(t *testing.T) {
	for _, tt := range []struct {
		value string
		want  []string // nil: an error
	}{
		{"", []string{}},
		{" , ,, ", []string{}},
		{"a@b", []string{"a@b"}},
		{"a@b, c@d,", []string{"a@b", "c@d"}},
		{"root", []string{"root"}},
		{"Ann <a@b>", []string{"a@b"}},
		{"Ann M. Other (x, y) <a@b> (z)", []string{"a@b"}},
		{`"Other, Ann" <a@b>, "x\",y" <c@d>`, []string{"a@b", "c@d"}},
		{`"a b"@c`, []string{`"a b"@c`}},
		{`"a,b"@c, d`, []string{`"a,b"@c`, "d"}},
		{"a . b @ c . d", []string{"a.b@c.d"}},
		{"a(x).(y(z))b@c", []string{"a.b@c"}},
		{`(a \) b) c@d`, []string{"c@d"}},
		{"a@[192.0.2.1], b@c", []string{"a@[192.0.2.1]", "b@c"}},
		{"<a@b>", []string{"a@b"}},
		{"< a (x) @ b >", []string{"a@b"}},
		{`<"a > b"@c>`, []string{`"a > b"@c`}},
		{"<@x,@y:a@b>", []string{"a@b"}},
		{"x: a@b, c@d;", []string{"a@b", "c@d"}},
		{"undisclosed-recipients:;", []string{}},
		{"x y:;, a@b", []string{"a@b"}},
		{`"x": A <a@b>;, c@d`, []string{"a@b", "c@d"}},
		{"=?utf-8?q?J=C3=B6rg?= <j@b>", []string{"j@b"}},
		{"J\xf6rg <j@b>", []string{"j@b"}}, // not UTF-8, and no part of the address
		{"jörg@exämple.com", []string{"jörg@exämple.com"}},

		{"a b", nil},
		{"a@b c@d", nil},
		{"a (x) b", nil},
		{`"a" b`, nil},
		{"<a@b> c", nil},
		{"<a@b> <c@d>", nil},
		{"<a@b", nil},
		{"a@b>", nil},
		{"<>", nil},
		{"Ann <>", nil},
		{"<<a>>", nil},
		{"(a", nil},
		{"a)", nil},
		{`"a`, nil},
		{`"a\"`, nil},
		{"a@[b", nil},
		{"a@b]", nil},
		{`a\@b`, nil},
		{"<a;b>", nil},
		{"<a(b>", nil},
		{`<"a>`, nil},
		{"x: a@b", nil},
		{"x: y: a@b;", nil},
		{":a@b;", nil},
		{"a@b;", nil},
		{"<a@b>: c;", nil},
		{"<@x>", nil},
		{"a@", nil},
		{"-x@b", nil},
		{"<|sh>", nil},
		{`"/etc/passwd"@b`, nil},
		{"j\xf6rg@b", nil},
		{"a\x01@b", nil},
	} {
		got, err := parseAddressList(headerValue{line: 7, text: []byte(tt.value)})
		if tt.want == nil {
			var bad *ParseError
			if !errors.As(err, &bad) || bad.Line != 7 || got != nil {
				t.Errorf("%q: %q, %v, want an error", tt.value, got, err)
			}
			continue
		}
		if err != nil || !slices.Equal(got, tt.want) {
			t.Errorf("%q: %q, %v, want %q", tt.value, got, err, tt.want)
		}
	}
}

func TestReadMailHeader(t *testing.T) {
	for _, tt := range []struct {
		name, in     string
		sender, to   string // to: separated by blanks
		kept, remain string
	}{
		{"plain", "From: a\nTo: b\n\nbody\n", "a", "b", "From: a\nTo: b\n\n", "body\n"},
		{"no body", "From: a\nTo: b\n", "a", "b", "From: a\nTo: b\n", ""},
		{"no last LF", "From: a\nTo: b", "a", "b", "From: a\nTo: b", ""},
		{"mbox", "From x Mon\nFrom: a\nTo: b\n\nFrom y\n", "a", "b", "From: a\nTo: b\n\n", "From y\n"},
		{"bcc", "From: a\nBCC : b,\n c\nX: y\nResent-bcc: d\n\t,e\n\n", "a", "d e", "From: a\nX: y\n\n", ""},
		{"bcc alone", "From: a\nbcc: b,\n c\nX: y\n\n", "a", "b c", "From: a\nX: y\n\n", ""},
		{"all three", "From: a\nCc: d, b\nTo: b\nTo: c\nBcc: e, c\n\n", "a", "b c d e", "From: a\nCc: d, b\nTo: b\nTo: c\n\n", ""},
		{"sender", "Sender: s\nFrom: a, b\nTo: c\n\n", "s", "c", "Sender: s\nFrom: a, b\nTo: c\n\n", ""},
		{"first from", "From: a, b\nFrom: z\nTo: c\n\n", "a", "c", "From: a, b\nFrom: z\nTo: c\n\n", ""},
		{"return path", "Return-Path: <r>\n\nX", "", "", "", "fails"},
		{"null", "Return-Path:\n <> \nFrom: a\nTo: b\n\n", "", "b", "From: a\nTo: b\n\n", ""},
		{"path", "Return-Path: <r@x>\nFrom: a\nTo: b\n\n", "r@x", "b", "From: a\nTo: b\n\n", ""},
		{"resent", "From: a\nTo: b\nResent-From: r\nResent-To: s\n\n", "r", "s", "From: a\nTo: b\nResent-From: r\nResent-To: s\n\n", ""},
		{"resent sender", "From: a\nResent-From: r\nResent-Sender: q\nResent-Cc: s\n\n", "q", "s", "From: a\nResent-From: r\nResent-Sender: q\nResent-Cc: s\n\n", ""},
		{"not resent", "From: a\nTo: b\nResent-From: r\n\n", "a", "b", "From: a\nTo: b\nResent-From: r\n\n", ""},
		{"folded", "From: a\nTo: \"x\n y\" <b@\n\tc>\n\n", "a", "b@c", "From: a\nTo: \"x\n y\" <b@\n\tc>\n\n", ""},
		{"CR in body is not ours", "From: a\nTo: b\n\nx\r\n", "a", "b", "From: a\nTo: b\n\n", "x\r\n"},

		{"empty", "", "", "", "", "fails"},
		{"no header", "\nbody\n", "", "", "", "fails"},
		{"no sender", "To: b\n\n", "", "", "", "fails"},
		{"no recipient", "From: a\nTo: x:;\n\n", "", "", "", "fails"},
		{"empty sender", "Sender:\nFrom: a\nTo: b\n\n", "", "", "", "fails"},
		{"bad sender", "Sender: a b\nFrom: a\nTo: b\n\n", "", "", "", "fails"},
		{"bad recipient", "From: a\nTo: b\nCc: a b\n\n", "", "", "", "fails"},
		{"no name", "From: a\n: x\nTo: b\n\n", "", "", "", "fails"},
		{"no colon", "From: a\nTo: b\nhello\n\n", "", "", "", "fails"},
		{"bad name", "From: a\nTo: b\nJ\xf6: x\n\n", "", "", "", "fails"},
		{"two words", "From: a\nTo: b\nX Y: x\n\n", "", "", "", "fails"},
		{"mbox later", "From: a\nFrom x\nTo: b\n\n", "", "", "", "fails"},
		{"begins folded", " x\nFrom: a\nTo: b\n\n", "", "", "", "fails"},
		{"mbox folded", "From x\n y\nFrom: a\nTo: b\n\n", "", "", "", "fails"},
		{"CR", "From: a\r\nTo: b\n\n", "", "", "", "fails"},
		{"NUL", "From: a\nTo: b\nX: \x00\n\n", "", "", "", "fails"},
		{"CR in a fold", "From: a\nTo: b\n \r\n\n", "", "", "", "fails"},
	} {
		var out strings.Builder
		r := bufio.NewReaderSize(strings.NewReader(tt.in), 16)
		sender, to, err := ReadDropHeader(r, &out)
		if tt.remain == "fails" {
			var bad *ParseError
			if !errors.As(err, &bad) || bad.Line < 1 || bad.Column < 1 || to != nil {
				t.Errorf("%s: %v, %v, want a ParseError", tt.name, to, err)
			}
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", tt.name, err)
			continue
		}
		var addresses []string
		for _, p := range to {
			addresses = append(addresses, p.Address)
		}
		rest, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if sender.Address != tt.sender || strings.Join(addresses, " ") != tt.to || out.String() != tt.kept || string(rest) != tt.remain {
			t.Errorf("%s: sender %q, to %q, kept %q, left %q", tt.name, sender.Address, addresses, out.String(), rest)
		}
	}
}

// Trouble is not the message's fault, and must not look like it.
func TestDropHeaderTrouble(t *testing.T) {
	const text = "From: a\nTo: b\n\n"
	var bad *ParseError
	r := iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(text)))
	if _, _, err := ReadDropHeader(bufio.NewReader(r), io.Discard); !errors.Is(err, iotest.ErrTimeout) || errors.As(err, &bad) {
		t.Errorf("reading: %v", err)
	}
	for n := range len("From: a\nTo: b\n") {
		w := &fullWriter{left: n}
		if _, _, err := ReadDropHeader(bufio.NewReader(strings.NewReader(text)), w); !errors.Is(err, io.ErrShortWrite) || errors.As(err, &bad) {
			t.Errorf("writing %d octets: %v", n, err)
		}
	}
	r = iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(text)))
	if _, err := Read(r); !errors.Is(err, iotest.ErrTimeout) || errors.As(err, &bad) {
		t.Errorf("reading an envelope: %v", err)
	}
}

// A fullWriter has room for so many octets.
type fullWriter struct{ left int }

func (w *fullWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}
