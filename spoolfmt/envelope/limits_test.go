package envelope

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"
)

// slowest is what a hostile input may cost. Work that grows with the square of
// these inputs takes many times as long, on any machine.
const slowest = 5 * time.Second

const headOfEnvelope = "Spool-Format: 1\nSender: <>\nRecipient: <a>\nSize: 1\n"

// TestLimits has every limit of an envelope met and exceeded by one.
func TestLimits(t *testing.T) {
	repeat := strings.Repeat
	tests := []struct {
		name string
		make func(over int) string
	}{
		{"room", func(n int) string { return fullEnvelope(MaxSize + n) }},
		{"fields", func(n int) string { return headOfEnvelope + repeat("X: x\n", MaxFields-3+n) + "Attempts: 1\n\n" }},
		{"parameters", func(n int) string {
			params := ""
			for i := range MaxParams + n {
				params += fmt.Sprintf(" K%d=x", i)
			}
			return headOfEnvelope + "Recipient: <b>" + params + "\n\n"
		}},
		{"line", func(n int) string { return headOfEnvelope + "X: " + repeat("x", MaxLine-4+n) + "\n\n" }},
		{"name", func(n int) string { return headOfEnvelope + repeat("x", 64+n) + ": x\n\n" }},
		{"recipients", func(n int) string {
			return "Spool-Format: 1\nSender: <>\nSize: 1\n" + repeat("Recipient: <a>\n", MaxRecipients+n) + "\n"
		}},
		{"Size", func(n int) string {
			return "Spool-Format: 1\nSender: <>\nRecipient: <a>\nSize: " + repeat("9", 18+n) + "\n\n"
		}},
		{"Attempts", func(n int) string { return headOfEnvelope + "Attempts: " + repeat("9", 9+n) + "\n\n" }},
		{"SHA256", func(n int) string { return headOfEnvelope + "SHA256: " + repeat("f", 64+n) + "\n\n" }},
		{"CRC32C", func(n int) string { return headOfEnvelope + "CRC32C: " + repeat("f", 8+n) + "\n\n" }},
		{"Last-Error", func(n int) string { return headOfEnvelope + "Last-Error: " + repeat("x", 1200+n) + "\n\n" }},
		{"Set-Aside", func(n int) string {
			return headOfEnvelope + "Set-Aside: 2026-11-23T20:04:13Z " + repeat("x", 1200-21+n) + "\n\n"
		}},
		{"text", func(n int) string {
			return headOfEnvelope + "Failed: <a> 2026-11-23T20:04:13Z " + repeat("x", 256+n) + "\n\n"
		}},
		{"fraction", func(n int) string {
			return headOfEnvelope + "Received-At: 2026-11-23T20:04:13." + repeat("1", 9+n) + "Z\n\n"
		}},
		{"single", func(n int) string { return headOfEnvelope + repeat("TLS: x\n", 1+n) + "\n" }},
		{"outcome", func(n int) string {
			return headOfEnvelope + repeat("Delivered: <a> 2026-11-23T20:04:13Z\n", 1+n) + "\n"
		}},
		{"end", func(n int) string { return headOfEnvelope + repeat("\n", 1+n) }},
	}
	for _, tt := range tests {
		text := tt.make(0)
		e, err := Read(strings.NewReader(text))
		if err != nil {
			t.Errorf("%s at its limit: %v", tt.name, err)
			continue
		}
		if again, err := e.Marshal(); err != nil || string(again) != text {
			t.Errorf("%s at its limit is not written again: %v", tt.name, err)
		}
		var bad *ParseError
		e, err = Read(strings.NewReader(tt.make(1)))
		if e != nil || !errors.As(err, &bad) || bad.Line < 1 || bad.Column < 1 {
			t.Errorf("%s one over its limit: %v", tt.name, err)
		}
	}
}

// fullEnvelope returns an envelope that can grow to that many octets, with the
// numbers of SPOOL-FORMAT.md, 5.6.
func fullEnvelope(room int) string {
	var b strings.Builder
	b.WriteString("Spool-Format: 1\nSender: <>\nSize: 1\n")
	room -= b.Len() + len("\n") + 4096
	for n := 0; room > 3*MaxLine; n++ {
		p := Path{Address: fmt.Sprintf("%s%04d@%s.example.org", strings.Repeat("x", 200), n, strings.Repeat("y", 60))}
		b.WriteString("Recipient: " + p.String() + "\n")
		room -= len("Recipient: \n") + len(p.String()) + len(p.Address) + 320
	}
	for room > 0 {
		n := min(room, MaxLine)
		if room > MaxLine {
			n = MaxLine / 2
		}
		b.WriteString("X: " + strings.Repeat("x", n-4) + "\n")
		room -= n
	}
	return b.String() + "\n"
}

// TestRoomIsEnough: whatever a drainer writes into an envelope without a spare
// octet, the result is one that every reader accepts.
// A feeder counts on this before it accepts a recipient.
func TestRecipientRoom(t *testing.T) {
	one, two := Path{Address: "a"}, Path{Address: "b@x.test", Params: []Param{{Keyword: "NOTIFY", Value: "NEVER", HasValue: true}}}
	before, err := New(Path{}, []Path{one})
	if err != nil {
		t.Fatal(err)
	}
	after, err := New(Path{}, []Path{one, two})
	if err != nil {
		t.Fatal(err)
	}
	if got := after.Room() - before.Room(); got != RecipientRoom(two) {
		t.Errorf("a recipient takes %d octets, RecipientRoom says %d", got, RecipientRoom(two))
	}
}

func TestRoomIsEnough(t *testing.T) {
	e, err := Parse([]byte(fullEnvelope(MaxSize)))
	if err != nil {
		t.Fatal(err)
	}
	long := strings.Repeat("x", MaxLine)
	at := time.Date(2026, 11, 23, 20, 4, 13, 123456000, time.UTC)
	for i, r := range e.Recipients() {
		if err := e.SetOutcome(r.Address, Outcome{StatusDelivered + Status(i%2), at, long}); err != nil {
			t.Fatal(err)
		}
	}
	for name, value := range map[string]string{
		"Attempts": "999999999", "Next-Attempt": FormatTime(at), "Last-Error": long[:MaxDrainerText],
		"Set-Aside": SetAsideValue(at, long),
	} {
		if err := e.Set(name, value); err != nil {
			t.Fatal(err)
		}
	}
	e.put("Requeued-At", FormatTime(at))
	data, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Parse(data); err != nil || int64(len(data)) > e.Room() || e.Room() != MaxSize {
		t.Errorf("%d octets, room for %d: %v", len(data), e.Room(), err)
	}
}

// TestMarshalLimits has the limits that only a writer can run into.
func TestMarshalLimits(t *testing.T) {
	many := make([]Path, MaxRecipients+1)
	for i := range many {
		many[i].Address = "a"
	}
	if _, err := New(Path{}, many); err == nil {
		t.Error("too many recipients")
	}
	e, err := New(Path{}, many[1:])
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range []int64{-1, 1e18} {
		if e.SetSize(n); e.Size() != n {
			t.Errorf("size %d", e.Size())
		}
		if _, err := e.Marshal(); err == nil {
			t.Errorf("size %d is written", n)
		}
	}
	e.SetSize(1e18 - 1)
	if _, err := e.Marshal(); err != nil {
		t.Error(err)
	}
	for n := range MaxFields - 2 { // the three others are Spool-Format, Sender and Size
		if n == MaxFields-3 {
			_, err = e.Marshal()
		}
		if err = errors.Join(err, e.Set(fmt.Sprintf("X%d", n), "x")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := e.Marshal(); err == nil {
		t.Error("too many fields are written")
	}
	e, err = Parse([]byte(fullEnvelope(MaxSize)))
	if err == nil {
		err = e.Set("Y", "z")
	}
	if err != nil {
		t.Fatal(err)
	}
	if _, err := e.Marshal(); err == nil {
		t.Error("an envelope without room is written")
	}
}

// TestCutEnvelope: no beginning of an envelope is an envelope.
func TestCutEnvelope(t *testing.T) {
	text := headOfEnvelope + "Delivered: <a> 2026-11-23T20:04:13Z\n\n"
	for n := range text {
		if e, err := Parse([]byte(text[:n])); err == nil || e != nil {
			t.Errorf("%q is an envelope", text[:n])
		}
	}
}

func TestParseTime(t *testing.T) {
	day := time.Date(2024, 2, 29, 23, 59, 59, 0, time.UTC)
	for s, want := range map[string]time.Time{
		"2024-02-29T23:59:59Z":           day,
		"2024-02-29T23:59:59.5Z":         day.Add(500 * time.Millisecond),
		"2024-02-29T23:59:59.000000001Z": day.Add(1),
		"2024-02-29T23:59:59.999999999Z": day.Add(time.Second - 1),
	} {
		if got, ok := parseTime(s); !ok || !got.Equal(want) {
			t.Errorf("parseTime(%q) = %v, %v", s, got, ok)
		}
	}
	for _, s := range []string{
		"", "Z", "2023-02-29T00:00:00Z", "2024-02-30T00:00:00Z", "2024-13-01T00:00:00Z", "2024-00-01T00:00:00Z",
		"2024-01-01T24:00:00Z", "2024-01-01T00:60:00Z", "2024-01-01T00:00:60Z", "2024-01-01T00:00:00", "2024-01-01T00:00:00z",
		"2024-01-01t00:00:00Z", "2024-01-01 00:00:00Z", "2024-01-01T00:00:00+00:00", "2024-01-01T00:00:00.Z",
		"2024-01-01T00:00:00,5Z", "2024-01-01T0:00:00Z", "24-01-01T00:00:00Z", "2024-1-1T00:00:00Z", "2024-01-01T00:00:00.5.5Z",
		"2024-01-01T00:00:00ZZ", "+024-01-01T00:00:00Z",
	} {
		if got, ok := parseTime(s); ok {
			t.Errorf("parseTime(%q) = %v", s, got)
		}
	}
	now := time.Date(2026, 11, 23, 21, 4, 13, 123456789, time.FixedZone("", 3600))
	if s := FormatTime(now); s != "2026-11-23T20:04:13.123456Z" {
		t.Errorf("FormatTime = %q", s)
	}
}

func TestOutcomeRules(t *testing.T) {
	const at = " 2026-11-23T20:04:13Z"
	for line, ok := range map[string]bool{
		"Delivered: <a>" + at:                 true,
		"Delivered: <a>" + at + " ok":         true,
		"Delivered: <a>" + at + "  ok":        false, // a text is a value
		"Failed: <a>" + at + " no such user":  true,
		"Failed: <a>" + at:                    false,
		"Failed: <a>" + at + "  x":            false,
		"Delivered: <a>":                      false,
		"Delivered: <a> now":                  false,
		"Delivered: <a>  2026-11-23T20:04:13": false,
		"Delivered: a" + at:                   false,
		"Delivered: <>" + at:                  false,
		"Delivered: <A>" + at:                 false, // octet for octet
		"Delivered: <a> NOTIFY=NEVER" + at:    false,
		"Set-Aside: 2026-11-23T20:04:13Z x":   true,
		"Set-Aside: 2026-11-23T20:04:13Z":     false,
		"Set-Aside: 2026-11-23T20:04:13Z  x":  false,
		"Set-Aside: x y":                      false,
		"Size: 1":                             false, // the second one
		"sPOOL-fORMAT: 1":                     false,
		"Next-Attempt: 2026-11-23T20:04:13Z":  true,
		"Next-Attempt: tomorrow":              false,
		"Attempts: 00":                        false,
		"Attempts: 0":                         true,
	} {
		_, err := Parse([]byte(headOfEnvelope + line + "\n\n"))
		if (err == nil) != ok {
			t.Errorf("%q: %v, want ok %v", line, err, ok)
		}
	}
}

// TestOutcomeInjection: an outcome's address is one of the recipients', or none.
func TestOutcomeInjection(t *testing.T) {
	e := testEnvelope(t)
	for _, address := range []string{"b@example.org> 2020-01-01T00:00:00Z x", "", "b@example.org\n"} {
		if err := e.SetOutcome(address, Outcome{Status: StatusDelivered, Time: time.Now()}); err == nil {
			t.Errorf("an outcome of %q", address)
		}
	}
	if err := e.SetOutcome("b@example.org", Outcome{Time: time.Now()}); err == nil {
		t.Error("an outcome without a status")
	}
	if n := len(e.Pending()); n != 2 {
		t.Errorf("%d pending, want 2", n)
	}
}

// TestHostileEnvelopes: inputs made to be slow are not.
func TestHostileEnvelopes(t *testing.T) {
	var params strings.Builder
	for i := 0; params.Len() < 3900; i++ {
		fmt.Fprintf(&params, " %c%c", "abcdefghijklmnopqrstuvwxyz0123456789"[i/36%36], "abcdefghijklmnopqrstuvwxyz0123456789"[i%36])
		if i == 36*36-1 {
			break
		}
	}
	line := "Recipient: <a>" + params.String() + "\n"
	for name, text := range map[string]string{
		"parameters": headOfEnvelope + strings.Repeat(line, (MaxSize-1000)/len(line)) + "\n",
		"fields":     headOfEnvelope + strings.Repeat("a: b\n", (MaxSize-1000)/5) + "\n",
		"recipients": headOfEnvelope + strings.Repeat("Recipient: <a>\n", MaxSize/15-100) + "\n",
		"outcomes":   headOfEnvelope + strings.Repeat("Failed: <a> 2026-11-23T20:04:13Z x\n", MaxSize/40) + "\n",
		"colons":     headOfEnvelope + strings.Repeat(":", MaxSize-1000),
	} {
		start := time.Now()
		if _, err := Parse([]byte(text)); err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: an error of %d octets", name, len(err.Error()))
		}
		if took := time.Since(start); took > slowest {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// TestManyOutcomes: as many outcomes as recipients may be, set one by one.
func TestManyOutcomes(t *testing.T) {
	to := make([]Path, MaxRecipients)
	for i := range to {
		to[i].Address = fmt.Sprintf("r%d@example.org", i)
	}
	e, err := New(Path{}, to)
	if err != nil {
		t.Fatal(err)
	}
	e.SetSize(1)
	start := time.Now()
	for _, p := range to {
		if err := e.SetOutcome(p.Address, Outcome{StatusFailed, start, "no"}); err != nil {
			t.Fatal(err)
		}
	}
	data, err := e.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	again, err := Parse(data)
	if err != nil || len(again.Pending()) != 0 {
		t.Fatalf("%v", err)
	}
	if took := time.Since(start); took > slowest {
		t.Errorf("took %v", took)
	}
}

// TestHostileHeaders: drops made to be slow are not.
func TestHostileHeaders(t *testing.T) {
	const head = "From: a\nTo: b\n"
	fill := func(piece string) string { return strings.Repeat(piece, (MaxDropHeader-100)/len(piece)) }
	for name, text := range map[string]string{
		"folds":     head + fill(" \n") + "\n",
		"commas":    head + "To: " + fill(",") + "\n\n",
		"duplicate": head + "To: " + fill("b,") + "\n\n",
		"comments":  head + "To: " + fill("(") + "\n\n",
		"pairs":     head + "To: " + fill("()") + "\n\n",
		"quotes":    head + "To: " + fill(`"`) + "\n\n",
		"angles":    head + "To: " + fill("<a>,") + "\n\n",
		"brackets":  head + "To: " + fill("[") + "\n\n",
		"groups":    head + "To: " + fill("x:;,") + "\n\n",
		"dots":      head + "To: " + fill(" .") + "\n\n",
		"fields":    head + fill("To:\n") + "\n",
		"names":     head + fill("x") + ":\n\n",
	} {
		start := time.Now()
		_, _, err := ReadDrop(strings.NewReader(text), io.Discard, Missing{})
		if took := time.Since(start); took > slowest {
			t.Errorf("%s took %v", name, took)
		}
		if err != nil && len(err.Error()) > 1000 {
			t.Errorf("%s: an error of %d octets", name, len(err.Error()))
		}
	}
}

// TestDropHeaderOctets: the header's octets are counted as they are in the file,
// without the empty line.
func TestDropHeaderOctets(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		head := "From: a" + end + "To: b" + end + "X: "
		for over := range 2 {
			header := head + strings.Repeat("x", MaxDropHeader-len(head)-len(end)+over) + end
			for _, rest := range []string{"", end, end + "body" + end} {
				var out bytes.Buffer
				_, _, err := ReadDrop(strings.NewReader(header+rest), &out, Missing{})
				if (err == nil) != (over == 0) {
					t.Errorf("header of %d octets, lines end in %q, then %q: %v", len(header), end, rest, err)
				}
				if want := strings.ReplaceAll(header+rest, "\r\n", "\n"); err == nil && out.String() != want {
					t.Errorf("lines end in %q: the text is changed", end)
				}
			}
		}
	}
}
