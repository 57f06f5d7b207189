package envelope

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
	"time"
)

func TestReadDrop(t *testing.T) {
	many := strings.Repeat("To: b\nTo: c\n", MaxRecipients)
	for _, tt := range []struct {
		name, in   string
		sender, to string // to: separated by blanks
		kept, body string
	}{
		{"plain", "From: a\nTo: b\n\nbody\n", "a", "b", "From: a\nTo: b\n\n", "body\n"},
		{"no body", "From: a\nTo: b\n", "a", "b", "From: a\nTo: b\n", ""},
		{"no last LF", "From: a\nTo: b", "a", "b", "From: a\nTo: b\n", ""},
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
		{"odd names", "From: a\nTo: b\n!~: x\n\n", "a", "b", "From: a\nTo: b\n!~: x\n\n", ""},
		{"two recipients many times", "From: a\n" + many + "\n", "a", "b c", "From: a\n" + many + "\n", ""},
		{"folded", "From: a\nTo: \"x\n y\" <b@\n\tc>\n\n", "a", "b@c", "From: a\nTo: \"x\n y\" <b@\n\tc>\n\n", ""},
		{"body without LF", "From: a\nTo: b\n\nx\ny", "a", "b", "From: a\nTo: b\n\n", "x\ny\n"},
		{"CR LF", "From: a\r\nTo: b\r\n\r\nx\r\n\r\ny", "a", "b", "From: a\nTo: b\n\n", "x\n\ny\n"},
		{"CR LF in a fold", "From: a\r\nBcc: b,\r\n c\r\n", "a", "b c", "From: a\n", ""},

		{"empty", "", "", "", "", "fails"},
		{"no header", "\nbody\n", "", "", "", "fails"},
		{"no sender", "To: b\n\n", "", "", "", "fails"},
		{"no recipient", "From: a\nTo: x:;\n\n", "", "", "", "fails"},
		{"empty sender", "Sender:\nFrom: a\nTo: b\n\n", "", "", "", "fails"},
		{"null sender elsewhere", "Sender: <>\nFrom: a\nTo: b\n\n", "", "", "", "fails"},
		{"empty sender, then another", "Sender:\nSender: a\nTo: b\n\n", "", "", "", "fails"},
		{"bad sender after a good one", "Sender: a, b c\nFrom: z\nTo: b\n\n", "", "", "", "fails"},
		{"bad sender", "Sender: a b\nFrom: a\nTo: b\n\n", "", "", "", "fails"},
		{"bad recipient", "From: a\nTo: b\nCc: a b\n\n", "", "", "", "fails"},
		{"no name", "From: a\n: x\nTo: b\n\n", "", "", "", "fails"},
		{"no colon", "From: a\nTo: b\nhello\n\n", "", "", "", "fails"},
		{"bad name", "From: a\nTo: b\nJ\xf6: x\n\n", "", "", "", "fails"},
		{"two words", "From: a\nTo: b\nX Y: x\n\n", "", "", "", "fails"},
		{"mbox later", "From: a\nFrom x\nTo: b\n\n", "", "", "", "fails"},
		{"begins folded", " x\nFrom: a\nTo: b\n\n", "", "", "", "fails"},
		{"mbox folded", "From x\n y\nFrom: a\nTo: b\n\n", "", "", "", "fails"},
		{"CR LF, then LF", "From: a\r\nTo: b\n\n", "", "", "", "fails"},
		{"LF, then CR LF", "From: a\nTo: b\n\nx\r\n", "", "", "", "fails"},
		{"CR LF, then LF at the end", "From: a\r\nTo: b\r\n\r\nx\n", "", "", "", "fails"},
		{"CR at the end", "From: a\r\nTo: b\r\n\r\nx\r", "", "", "", "fails"},
		{"CR in the body", "From: a\nTo: b\n\nx\ry\n", "", "", "", "fails"},
		{"CR begins a line", "From: a\r\nTo: b\r\n\r\n\rx\r\n", "", "", "", "fails"},
		{"CR alone", "From: a\r\nTo: b\r\n\r\nx\ry\r\n", "", "", "", "fails"},
		{"two CR", "From: a\r\nTo: b\r\n\r\nx\r\r\n", "", "", "", "fails"},
		{"NUL in the body", "From: a\nTo: b\n\n\x00\n", "", "", "", "fails"},
		{"NUL", "From: a\nTo: b\nX: \x00\n\n", "", "", "", "fails"},
		{"CR in a fold", "From: a\nTo: b\n \r\n\n", "", "", "", "fails"},
	} {
		for _, how := range []func(io.Reader) io.Reader{whole, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
			var out strings.Builder
			sender, to, err := ReadDrop(how(strings.NewReader(tt.in)), &out, Missing{})
			if tt.body == "fails" {
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
			if sender.Address != tt.sender || strings.Join(addresses, " ") != tt.to || out.String() != tt.kept+tt.body {
				t.Errorf("%s: sender %q, to %q, content %q", tt.name, sender.Address, addresses, out.String())
			}
		}
	}
}

func whole(r io.Reader) io.Reader { return r }

// TestDropFaultPlaces: a fault of the line ends is named where it is, whatever
// the reader returns at a time.
func TestDropFaultPlaces(t *testing.T) {
	for text, want := range map[string]string{
		"From: a\r\nTo: b\n":              "line 2, column 6: some lines end in CR LF, others in LF",
		"From: a\nTo: b\r\n":              "line 2, column 6: some lines end in CR LF, others in LF",
		"From: a\nTo: b\n\nx\ry\n":        "line 4, column 2: CR without LF",
		"From: a\nTo: b\n\nxy\x00\n":      "line 4, column 3: NUL",
		"From: a\r\nTo: b\r\n\r\nx\r":     "line 4, column 2: CR without LF",
		"From: a\r\nTo: b\r\n\r\nx\r\r\n": "line 4, column 2: CR without LF",
		"Sender:\nTo: b\nSender: a\n\n":   "line 1, column 1: no address of a sender",
		"From: a\nTo: b c\nTo: d e\n\n":   "line 2, column 1: " + errTwoWords.Error(),
	} {
		for _, how := range []func(io.Reader) io.Reader{whole, iotest.OneByteReader, iotest.HalfReader, iotest.DataErrReader} {
			if _, _, err := ReadDrop(how(strings.NewReader(text)), io.Discard, Missing{}); err == nil || err.Error() != want {
				t.Errorf("%q: %v, want %s", text, err, want)
			}
		}
	}
}

func TestMissingFields(t *testing.T) {
	add := Missing{Date: time.Date(2026, 11, 3, 21, 4, 13, 0, time.FixedZone("", 3600)), MessageID: "id@host"}
	const date, id = "Date: Tue, 03 Nov 2026 20:04:13 +0000\n", "Message-ID: <id@host>\n"
	for in, want := range map[string]string{
		"From: a\nTo: b\n\nx\n":                        "From: a\nTo: b\n" + date + id + "\nx\n",
		"From: a\r\nTo: b\r\n\r\nx\r\n":                "From: a\nTo: b\n" + date + id + "\nx\n",
		"From: a\nTo: b":                               "From: a\nTo: b\n" + date + id,
		"From: a\nTo: b\nBcc: c":                       "From: a\nTo: b\n" + date + id,
		"From: a\nDATE : x\n y\nTo: b\n\n":             "From: a\nDATE : x\n y\nTo: b\n" + id + "\n",
		"From: a\nmessage-id: x\nTo: b\n\nDate: x\n":   "From: a\nmessage-id: x\nTo: b\n" + date + "\nDate: x\n",
		"From: a\nDate:\nTo: b\nMessage-Id:\n\n":       "From: a\nDate:\nTo: b\nMessage-Id:\n\n",
		"From: a\nResent-Date: x\nResent-To: b\nX: \n": "From: a\nResent-Date: x\nResent-To: b\nX: \n" + date + id,
	} {
		var out strings.Builder
		if _, _, err := ReadDrop(strings.NewReader(in), &out, add); err != nil || out.String() != want {
			t.Errorf("%q:\n%q, want\n%q: %v", in, out.String(), want, err)
		}
	}
}

// Trouble is not the message's fault, and must not look like it.
func TestDropHeaderTrouble(t *testing.T) {
	const text = "From: a\nTo: b\n\n"
	var bad *ParseError
	r := iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(text)))
	if _, _, err := ReadDrop(r, io.Discard, Missing{}); !errors.Is(err, iotest.ErrTimeout) || errors.As(err, &bad) {
		t.Errorf("reading: %v", err)
	}
	for n := range len("From: a\nTo: b\n") {
		w := &fullWriter{left: n}
		if _, _, err := ReadDrop(strings.NewReader(text), w, Missing{}); !errors.Is(err, io.ErrShortWrite) || errors.As(err, &bad) {
			t.Errorf("writing %d octets: %v", n, err)
		}
	}
	for _, add := range []Missing{{}, {Date: time.Date(2026, 11, 3, 21, 4, 13, 0, time.UTC), MessageID: "id@host"}} {
		for _, text := range []string{text, "From: a\nTo: b", "From: a\nTo: b\n\nx"} {
			var out strings.Builder
			if _, _, err := ReadDrop(strings.NewReader(text), &out, add); err != nil {
				t.Fatal(err)
			}
			for n := range out.Len() {
				w := &fullWriter{left: n}
				if _, _, err := ReadDrop(strings.NewReader(text), w, add); !errors.Is(err, io.ErrShortWrite) || errors.As(err, &bad) {
					t.Errorf("writing %d octets of %q: %v", n, out.String(), err)
				}
			}
		}
	}
	r = iotest.TimeoutReader(iotest.OneByteReader(strings.NewReader(text)))
	if _, err := Read(r); !errors.Is(err, iotest.ErrTimeout) || errors.As(err, &bad) {
		t.Errorf("reading an envelope: %v", err)
	}
}

// A fullWriter fails once, at an octet. What comes later has room again, so that
// no later error is reported in its place.
type fullWriter struct{ left int }

func (w *fullWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		w.left = math.MaxInt
		return 0, io.ErrShortWrite
	}
	return len(p), nil
}

// A reader may return the last octets and the end at once. A fault in these
// octets comes next, not the end.
func TestFaultAtTheEnd(t *testing.T) {
	for _, text := range []string{"a\r\nb\r", "a\nb\x00", "a\nb\r\n"} {
		lines := &lineReader{r: iotest.DataErrReader(strings.NewReader(text)), line: 1}
		var bad *ParseError
		if _, err := io.ReadAll(lines); !errors.As(err, &bad) {
			t.Errorf("%q: %v, want a ParseError", text, err)
		}
	}
	lines := &lineReader{r: new(troubled), line: 1}
	if got, err := io.ReadAll(lines); string(got) != "x" || !errors.Is(err, io.ErrClosedPipe) {
		t.Errorf("%q, %v: the reader's error is lost", got, err)
	}
}

// troubled returns an octet and an error once, then the end.
type troubled struct{ was bool }

func (r *troubled) Read(p []byte) (int, error) {
	if r.was {
		return 0, io.EOF
	}
	r.was = true
	return copy(p, "x"), io.ErrClosedPipe
}

// All fields that name recipients count together.
func TestDropRecipients(t *testing.T) {
	for n := range 2 {
		var b strings.Builder
		b.WriteString("From: a\nCc: extra\n")
		for i := range MaxRecipients - 1 + n {
			fmt.Fprintf(&b, "To: b%d\n", i)
		}
		_, to, err := ReadDrop(strings.NewReader(b.String()), io.Discard, Missing{})
		var bad *ParseError
		switch {
		case n == 0 && (err != nil || len(to) != MaxRecipients):
			t.Errorf("%d recipients: %v", len(to), err)
		case n == 1 && !errors.As(err, &bad):
			t.Errorf("one recipient too many: %v", err)
		}
	}
}
