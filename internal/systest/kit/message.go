//go:build system

package kit

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const FromAddress = "ann@client.test"

// added are the header fields that a mail server on the way may put before a message.
var added = map[string]bool{
	"return-path": true, "x-original-to": true, "delivered-to": true, "received": true, "envelope-to": true,
	"delivery-date": true,
}

// Delivered is a message found in a mailbox: the fields added on the way, and all that was sent.
type Delivered struct {
	Head map[string][]string
	Rest string
}

// Split parts the added fields from what was sent.
func Split(raw string) Delivered {
	d := Delivered{Head: map[string][]string{}}
	for raw != "" {
		line, after, _ := strings.Cut(raw, "\n")
		name, value, ok := strings.Cut(line, ":")
		name = strings.ToLower(name)
		if !ok || !added[name] {
			break
		}
		for strings.HasPrefix(after, " ") || strings.HasPrefix(after, "\t") {
			var more string
			more, after, _ = strings.Cut(after, "\n")
			value += "\n" + more
		}
		d.Head[name] = append(d.Head[name], strings.TrimSpace(value))
		raw = after
	}
	d.Rest = raw
	return d
}

// Mailbox reads the maildir at path once it holds that many messages.
func Mailbox(t *testing.T, path string, want int, limit time.Duration) []Delivered {
	t.Helper()
	var files []string
	Eventually(limit, func() bool {
		files, _ = filepath.Glob(filepath.Join(path, "new", "*"))
		return len(files) >= want
	})
	if len(files) != want {
		t.Fatalf("%s holds %d messages, want %d", path, len(files), want)
	}
	var all []Delivered
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Split(string(b)))
	}
	return all
}

// Expect wants exactly these messages in the mailbox, in any order, octet for octet past the added fields.
func Expect(t *testing.T, path string, limit time.Duration, want ...string) []Delivered {
	t.Helper()
	all := Mailbox(t, path, len(want), limit)
	seen := map[string]int{}
	for _, w := range want {
		seen[w]++
	}
	for _, d := range all {
		if seen[d.Rest] == 0 {
			t.Errorf("arrived and was not sent (or twice): %q", Head(d.Rest, 2000))
		}
		seen[d.Rest]--
	}
	for w, n := range seen {
		if n > 0 {
			t.Errorf("sent and did not arrive (%d times): %q", n, Head(w, 2000))
		}
	}
	return all
}

// Message is one with everything that a careless relay damages: lines of dots, 8-bit text, white space at line ends,
// a From line, an empty last line. It has the fields without which a mail server would add its own.
func Message(from, to, subject string) string {
	return fmt.Sprintf("From: Sender <%s>\nTo: Recipient <%s>\nSubject: %s\nDate: Mon, 23 Nov 2026 20:00:00 +0000\n"+
		"Message-ID: <%s@client.test>\nMIME-Version: 1.0\nContent-Type: text/plain; charset=UTF-8\n"+
		"Content-Transfer-Encoding: 8bit\n\n", from, to, subject, subject) +
		"A first line.\n.\n..\n.leading dot\n...\n\n" +
		"From the beginning of a line\n" +
		"Grüße, 8-bit: \u00e9\u4e16\u754c\n" +
		"trailing space \nand tab\t\n" +
		strings.Repeat("x", 900) + "\n" +
		"ends with an empty line\n\n"
}

// CRLF ends each line with CR LF.
func CRLF(s string) string { return strings.ReplaceAll(s, "\n", "\r\n") }
