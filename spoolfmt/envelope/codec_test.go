package envelope

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
	"testing"
	"time"
)

func TestParseErrorPlaces(t *testing.T) {
	const at = "2026-11-23T20:04:13Z"
	for text, want := range map[string]string{
		"Spool-Format: 1\nSender: <a b@x>\n":   `line 2, column 11: Sender: address "a b@x": ' ' in the local part at octet 2`,
		"Spool-Format: 1\nHelo: a\x01b\n":      `line 2, column 8: control character or invalid UTF-8: "\x01"`,
		"Spool-Format: 1\nX Y: z\n":            `line 2, column 2: bad field name "X Y"`,
		"Spool-Format: 1\nSender: <> RET=NO\n": `line 2, column 9: Sender: bad value of parameter RET: "NO"`,

		"Spool-Format: 2\n":                               `line 1, column 15: Spool-Format "2" is not 1, the only version known here`,
		"X: 1\n":                                          `line 1, column 1: an envelope begins with "Spool-Format: 1"`,
		"Spool-Format 1\n":                                `line 1, column 1: expected NAME: VALUE, got "Spool-Format 1"`,
		"Spool-Format:1\n":                                `line 1, column 14: no space after the colon`,
		"Spool-Format: 1\n":                               `line 2, column 1: the empty line that ends an envelope is missing`,
		"Spool-Format: 1\nSize: 1":                        `line 2, column 8: the last line has no LF`,
		"Spool-Format: 1\nDelivered: <b>x\n":              `line 2, column 15: Delivered: no time after the address`,
		"Spool-Format: 1\nDelivered: b\n":                 `line 2, column 12: Delivered: no "<" before the address`,
		"Spool-Format: 1\nDelivered: <b> soon\n":          `line 2, column 16: Delivered: not a time in UTC: "soon"`,
		"Spool-Format: 1\nFailed: <b> " + at + "\n":       `line 2, column 33: Failed: no text after the time and one space`,
		"Spool-Format: 1\nDelivered: <b> " + at + "  x\n": `line 2, column 36: Delivered: no text after the time and one space`,
		"Spool-Format: 1\nFailed: <b> " + at + " " + strings.Repeat("x", MaxOutcomeText+1) + "\n": `line 2, column 290: Failed: text of more than 256 octets`,
		"Spool-Format: 1\nX: " + strings.Repeat("x", MaxLine-3) + "\n":                            `line 2, column 4096: line of more than 4096 octets`,
		"Spool-Format: 1\nX: " + strings.Repeat("x", MaxLine-3):                                   `line 2, column 4096: line of more than 4096 octets`,
		"Spool-Format: 1\n\n":                             `line 2, column 1: no Sender field`,
		"Spool-Format: 1\nSender: <>\n\n":                 `line 3, column 1: no Recipient field`,
		"Spool-Format: 1\nSender: <>\nRecipient: <b>\n\n": `line 4, column 1: no Size field`,
		"Spool-Format: 1\n\nx":                            `line 3, column 1: text after the empty line`,
		"Spool-Format: 1\nSender: <>\nFailed: <b> " + at + " no\nSize: 1\nRecipient: <c>\n\n": `line 3, column 1: outcome of <b>, which is no recipient`,
		"Spool-Format: 1\nRecipient: <b> X=\x7f\n":                                            `line 2, column 18: control character or invalid UTF-8: "\x7f"`,
		"Spool-Format: 1\nRecipient: <b>x\n":                                                  `line 2, column 15: Recipient: expected a space or the end of the line, got "x"`,
		"Spool-Format: 1\nRecipient: <b> A=1 =2\n":                                            `line 2, column 20: Recipient: empty parameter`,
		"Spool-Format: 1\nRecipient: <>\n":                                                    `line 2, column 12: Recipient: <> is not a recipient`,
	} {
		_, err := Parse([]byte(text))
		if err == nil || err.Error() != want {
			t.Errorf("%.100q: %v, want %s", text, err, want)
		}
	}
	if _, err := Parse([]byte("Spool-Format: 1\n\n")); !errors.Is(err, errNoSender) {
		t.Errorf("%v does not wrap its reason", err)
	}
}

func TestEnvelopeChanges(t *testing.T) {
	e := testEnvelope(t)
	e.SetSize(3)
	now := time.Date(2026, 11, 23, 20, 4, 13, 0, time.UTC)
	steps := []error{
		e.Set("Helo", "one"), e.Set("HELO", "two"), e.Set("X-Mine", "x"), e.Set("X-Mine", ""),
		e.SetOutcome("b@example.org", Outcome{Status: StatusDelivered, Time: now, Text: "ok\r\nForged: x"}),
		e.SetOutcome("c@example.org", Outcome{Status: StatusFailed, Time: now}),
		e.Set("Last-Error", "x"), e.Set("Attempts", "3"),
	}
	other := testEnvelope(t)
	other.Requeue(now) // with recipients that are pending
	if err := other.SetOutcome("b@example.org", Outcome{Status: StatusFailed, Time: now, Text: "550 no"}); err != nil {
		t.Fatal(err)
	}
	if o := other.Recipients()[0].Outcome; o.Text != "550 no" || len(other.Pending()) != 1 {
		t.Errorf("outcome %+v, pending %v", o, other.Pending())
	}
	for i, err := range steps {
		if err != nil {
			t.Fatalf("step %d: %v", i, err)
		}
	}
	for name, value := range map[string]string{
		"Sender": "<x@example.com>", "Recipient": "<x@example.com>", "Size": "1", "Delivered": "x", "Spool-Format": "1",
		"Helo": "a\nb", "Attempts": "-1", "Next-Attempt": "soon", "Bad Name": "x", "SHA256": "0", "CRC32C": "E3069283", "Requeued-At": "now", "X": strings.Repeat("y", MaxLine),
		"Client-Name": " x", "": "x", "1X": "x", "X\u00e4": "x",
	} {
		if err := e.Set(name, value); err == nil {
			t.Errorf("Set(%q, %q) succeeded", name, value)
		}
	}
	if err := e.SetOutcome("b@example.org", Outcome{Status: StatusFailed, Time: now}); err == nil {
		t.Error("a second outcome")
	}
	if err := e.SetOutcome("stranger@example.org", Outcome{Status: StatusFailed, Time: now}); err == nil {
		t.Error("an outcome of nobody")
	}
	want := `Spool-Format: 1
Sender: <a@example.com>
Recipient: <b@example.org>
Recipient: <c@example.org>
Size: 3
Helo: two
Delivered: <b@example.org> 2026-11-23T20:04:13.000000Z ok??Forged: x
Failed: <c@example.org> 2026-11-23T20:04:13.000000Z failed
Last-Error: x
Attempts: 3

`
	got, err := e.Marshal()
	if err != nil || string(got) != want {
		t.Fatalf("%v\n%s", err, got)
	}
	if !e.RequeuedAt().IsZero() {
		t.Error("requeued before a requeue")
	}
	e.Requeue(now.Add(time.Hour))
	if at := e.RequeuedAt(); !at.Equal(now.Add(time.Hour)) {
		t.Errorf("requeued at %v", at)
	}
	if p := e.Pending(); len(p) != 1 || p[0].Address != "c@example.org" || e.Get("attempts") != "" {
		t.Errorf("after a requeue: pending %v, attempts %q", p, e.Get("attempts"))
	}
	if again, err := Parse(got); err != nil || len(again.Pending()) != 0 {
		t.Errorf("read again: %v", err)
	}
}

func TestContentCheck(t *testing.T) {
	const abc, crc = "abc\n", "c24acf11"
	sum := fmt.Sprintf("%x", sha256.Sum256([]byte(abc)))
	for _, tt := range []struct {
		size                  int64
		crc, sum, text, fault string
	}{
		{4, "", "", abc, ""},
		{4, fmt.Sprintf("%08x", crc32.Checksum([]byte(abc), ChecksumTable())), sum, abc, ""},
		{4, crc, "", abc, "content does not match CRC32C"},
		{4, "", strings.Repeat("0", 64), abc, "content does not match SHA256"},
		{5, "", "", abc, "content has 4 octets, Size says 5"},
		{3, "", "", abc, "content has more than the 3 octets that Size says"},
		{4, "", "", "\rbc\n", "content holds CR at octet 1"},
		{4, "", "", "a\x00c\n", "content holds NUL at octet 2"},
	} {
		e := testEnvelope(t)
		e.SetSize(tt.size)
		if err := errors.Join(e.Set("CRC32C", tt.crc), e.Set("SHA256", tt.sum)); err != nil {
			t.Fatal(err)
		}
		check, found := e.NewContentCheck(), ""
		_, err := check.Write([]byte(tt.text[:1]))
		if err == nil {
			_, err = check.Write([]byte(tt.text[1:]))
		}
		if err == nil {
			err = check.End()
		}
		if err != nil {
			found = err.Error()
		}
		if found != tt.fault {
			t.Errorf("%q: %q, want %q", tt.text, found, tt.fault)
		}
	}
}

func TestMarshalRefuses(t *testing.T) {
	if _, err := testEnvelope(t).Marshal(); err == nil {
		t.Error("an envelope without Size")
	}
	if _, err := New(Path{}, nil); err == nil {
		t.Error("an envelope without recipients")
	}
	for _, bad := range []Path{{}, {Address: "-x"}, {Address: "a b"}, {Address: "x", Params: []Param{{Keyword: "N", Value: "a b", HasValue: true}}}} {
		if _, err := New(Path{}, []Path{bad}); err == nil {
			t.Errorf("recipient %v", bad)
		}
	}
	long := Path{Address: "b"}
	for _, keyword := range []string{"A", "B"} { // a line may be too long, and each parameter right
		long.Params = append(long.Params, Param{Keyword: keyword, Value: strings.Repeat("x", MaxLine/2), HasValue: true})
	}
	if _, err := New(Path{}, []Path{long}); err == nil {
		t.Error("a recipient's line over the limit")
	}
	if _, err := New(long, []Path{{Address: "b"}}); err == nil {
		t.Error("a sender's line over the limit")
	}
	if e, err := New(Path{}, []Path{{Address: "b"}, {Address: "b"}}); err != nil || len(e.Pending()) != 1 {
		t.Errorf("one address twice: %v", err)
	}
	if _, err := New(Path{Address: "|x"}, []Path{{Address: "b"}}); err == nil {
		t.Error("a dangerous sender")
	}
	if _, err := Parse(make([]byte, MaxSize+1)); err == nil {
		t.Error("a file over the limit")
	}
	if _, err := Read(strings.NewReader(strings.Repeat("x", MaxSize+1))); err == nil {
		t.Error("a file over the limit")
	}
}

// TestLargestEnvelope: the most recipients, each with its outcome, are read in
// time that grows with their number alone.
func TestLargestEnvelope(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("Spool-Format: 1\nSender: <>\nSize: 1\n")
	for n := range MaxRecipients {
		fmt.Fprintf(&b, "Recipient: <r%d@example.org>\n", n)
	}
	for n := range MaxRecipients {
		fmt.Fprintf(&b, "Delivered: <r%d@example.org> 2026-11-23T20:04:13Z\n", n)
	}
	b.WriteByte('\n')
	e, err := Parse(b.Bytes())
	if err != nil || len(e.Pending()) != 0 || len(e.Recipients()) != MaxRecipients {
		t.Fatalf("%v", err)
	}
}

func TestBadText(t *testing.T) {
	for text, want := range map[string]int{
		"": -1, " ~": -1, "\u00a0": -1, "\ufffd": -1, "\U0010ffff": -1,
		"\x1f": 0, "a\x7f": 1, "\x80": 0, "\xbf": 0, "a\xff": 1, "\u0080": 0, "\u009f": 0, "\u00e4\xe4": 2, "\xed\xa0\x80": 0,
	} {
		if got := badText(text); got != want {
			t.Errorf("badText(%q) = %d, want %d", text, got, want)
		}
	}
}

func TestCutReason(t *testing.T) {
	raw := []byte("no envelope\n")
	at := time.Date(2026, 11, 23, 20, 4, 13, 0, time.UTC)
	reason, rest := CutReason(PrependReason(raw, SetAsideValue(at, "bad")))
	if reason != "bad" || string(rest) != string(raw) {
		t.Errorf("%q, %q", reason, rest)
	}
	if reason, rest = CutReason(raw); reason != "" || string(rest) != string(raw) {
		t.Errorf("%q, %q", reason, rest)
	}
}

func TestCleanText(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  string
	}{
		{"plain", 10, "plain"}, {" a\tb\r\n ", 10, "a?b??"}, {"\xff\u0085x", 10, "??x"}, {"ääää", 5, "ää"},
		{"abc", 3, "abc"}, {"\u00e4", 1, ""}, {"abc  def", 4, "abc"}, {"", 5, ""}, {strings.Repeat("x", 100), 7, "xxxxxxx"},
	} {
		got := CleanText(tt.in, tt.limit)
		if got != tt.want {
			t.Errorf("CleanText(%q, %d) = %q, want %q", tt.in, tt.limit, got, tt.want)
		}
		if got != "" && checkValue(got) != nil {
			t.Errorf("%q is no value", got)
		}
	}
}

func TestDropHeaderLimit(t *testing.T) {
	read := func(header string) error {
		_, _, err := ReadDrop(strings.NewReader(header), io.Discard, Missing{})
		return err
	}
	if read("From: a\nTo: b\nX: "+strings.Repeat("y", MaxDropHeader)+"\n\n") == nil {
		t.Error("a header over the limit")
	}
	if read("From: a\nTo: b\n"+strings.Repeat("X: y\n", MaxDropHeader/len("X: y\n"))+"\n") == nil {
		t.Error("a header of short lines over the limit")
	}
	many := "From: a\nTo: b"
	for n := range MaxRecipients {
		many += fmt.Sprintf(",r%d", n)
	}
	if read(many+"\n\n") == nil {
		t.Error("too many recipients")
	}
}

func testEnvelope(t *testing.T) *Envelope {
	t.Helper()
	e, err := New(Path{Address: "a@example.com"}, []Path{{Address: "b@example.org"}, {Address: "c@example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}
