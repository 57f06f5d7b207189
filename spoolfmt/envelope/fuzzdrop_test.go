package envelope

import (
	"bytes"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// FuzzDrop: every address satisfies the grammar, and the content is the drop's
// lines in their order, without Bcc. The kind of line end and the reader's pieces
// make no difference.
func FuzzDrop(f *testing.F) {
	vectorSeeds(f, "mail")
	f.Fuzz(func(t *testing.T, data []byte) {
		var out bytes.Buffer
		sender, recipients, err := ReadDrop(bytes.NewReader(data), &out, Missing{})
		var piecemeal bytes.Buffer
		_, _, perr := ReadDrop(iotest.OneByteReader(bytes.NewReader(data)), &piecemeal, Missing{})
		if (err == nil) != (perr == nil) || err == nil && !bytes.Equal(out.Bytes(), piecemeal.Bytes()) {
			t.Fatalf("at once: %v, %q; octet by octet: %v, %q", err, &out, perr, &piecemeal)
		}
		if err != nil {
			return
		}
		if sender.Address != "" && CheckAddress(sender.Address) != nil || len(recipients) == 0 {
			t.Fatalf("sender %v, recipients %v", sender, recipients)
		}
		for _, r := range recipients {
			if CheckAddress(r.Address) != nil {
				t.Fatalf("recipient %v", r)
			}
		}
		text := bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n"))
		if bytes.ContainsAny(text, "\r\x00") {
			t.Fatal("CR or NUL was accepted")
		}
		linesOf(t, text, out.Bytes())
		sameWithCRLF(t, text, recipients, out.Bytes())
	})
}

// linesOf wants the lines of the content to be lines of the drop in their order.
func linesOf(t *testing.T, text, content []byte) {
	if len(content) > 0 && content[len(content)-1] != '\n' {
		t.Fatalf("no LF ends %q", content)
	}
	rest := strings.Split(string(text), "\n")
	for line := range strings.Lines(string(content)) {
		line = strings.TrimSuffix(line, "\n")
		i := slices.Index(rest, line)
		if i < 0 {
			t.Fatalf("%q is no line of the drop", line)
		}
		rest = rest[i+1:]
	}
	header, _, _ := bytes.Cut(content, []byte("\n\n"))
	for line := range strings.Lines(string(header)) {
		for _, left := range []string{"bcc:", "resent-bcc:", "return-path:"} {
			if strings.HasPrefix(strings.ToLower(line), left) {
				t.Fatalf("left in the content: %q", line)
			}
		}
	}
}

// sameWithCRLF reads the drop with every LF made CR LF. That can make the header
// too long.
func sameWithCRLF(t *testing.T, text []byte, recipients []Path, content []byte) {
	if len(text) > MaxDropHeader/2 {
		return
	}
	var out bytes.Buffer
	crlf := strings.NewReplacer("\n", "\r\n").Replace(string(text))
	_, to, err := ReadDrop(strings.NewReader(crlf), &out, Missing{})
	if err != nil || !bytes.Equal(out.Bytes(), content) || len(to) != len(recipients) {
		t.Fatalf("with CR LF: %v, %q", err, &out)
	}
	if _, _, err := ReadDrop(strings.NewReader(crlf+"\n"), io.Discard, Missing{}); err == nil && strings.Contains(crlf, "\n") {
		t.Fatal("a mixture was accepted")
	}
}
