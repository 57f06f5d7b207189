package receiver

import (
	"fmt"
	"strings"
	"testing"
)

// TestOpening: whatever a content begins with, our Received field is as we wrote
// it, and the octets of the client are all there.
func TestOpening(t *testing.T) {
	for content, want := range map[string]string{
		" forged by 192.0.2.9\r\n":         "\n forged by 192.0.2.9\n",
		"\tforged\r\nReceived: x\r\n":      "\n\tforged\nReceived: x\n",
		" ":                                "\n \n",
		"From me Mon Nov 23\r\nX: y\r\n":   "X-Mailbox-Line: From me Mon Nov 23\nX: y\n",
		"From":                             "From\n",
		"From ":                            "X-Mailbox-Line: From \n",
		"From:":                            "From:\n",
		"F":                                "F\n",
		"":                                 "",
		"\r\n text\r\n":                    "\n text\n",
		"Subject: x\r\n\tfolded\r\nFrom a": "Subject: x\n\tfolded\nFrom a\n",
	} {
		for _, pieces := range [][]string{{content}, octets(content)} {
			all := []string{envelopeOf, "BDAT " + fmt.Sprint(len(content)) + " LAST\r\n"}
			replies, committed := runReel(t, append(append(all, pieces...), "QUIT\r\n")...)
			if len(committed) != 1 || committed[0].content != want {
				t.Errorf("%q: %+v, want %q; %q", content, committed, want, replies)
			}
		}
	}
}

// TestOpeningSize: what is added is not the client's, and does not count.
func TestOpeningSize(t *testing.T) {
	for _, content := range []string{" x\r\n", "From x\r\n", "Sub: x\r\n"} {
		spool := new(memorySpool)
		c := everything(spool)
		c.MaxBytes = int64(len(content)) - 1 // CR does not count
		conn := &reel{pieces: []string{envelopeOf, "DATA\r\n", content, ".\r\n", "QUIT\r\n"}}
		Serve(t.Context(), c, Client{}, conn)
		if len(spool.committed) != 1 || !strings.Contains(spool.committed[0].content, strings.TrimSuffix(content, "\r\n")) {
			t.Errorf("%q: %q", content, conn.out.String())
		}
	}
}
