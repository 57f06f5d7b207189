package receiver

import (
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestRefusedInTheMiddle has a client that listens only at the end of its
// message. It hears 550 there, and not a broken connection.
func TestRefusedInTheMiddle(t *testing.T) {
	half := strings.Repeat("0123456789abcde\r\n", 100_000)
	for name, bad := range map[string]string{"NUL": "\x00\r\n", "LF": "x\n\r\n", "CR": "x\rx\r\n", "dot LF": ".\n", "dot CR": ".\rx\r\n"} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, nil, func(c *timed) {
				c.envelope()
				c.say("DATA\r\n")
				c.hear("354 ")
				c.say(half + bad + half + ".\r\n")
				c.hear("550 5.5.2 ")
			})
			inBubble(t, nil, func(c *timed) {
				c.envelope()
				content := half + bad + half
				c.say("BDAT " + strconv.Itoa(len(content)) + " LAST\r\n" + content)
				c.hear("550 5.5.2 ")
			})
		})
	}
}

// TestRefusedWithoutEnd: a client whose end is none hears 550 soon, and so does
// one that says nothing more.
func TestRefusedWithoutEnd(t *testing.T) {
	for text, most := range map[string]time.Duration{
		"Subject: x\n\ntext\n.\n":           2 * time.Second,
		"Subject: x\n\ntext\r\n.\n":         2 * time.Second,
		"Subject: x\r\n\r\ntext\n.\r\n":     2 * time.Second,
		"Subject: x\r\n\r\ntext\r\n.\n":     2 * time.Second,
		"Subject: x\r\r.\r":                 2 * time.Second,
		"x\r.\r":                            2 * time.Second,
		"x\n.\n":                            2 * time.Second,
		"Subject: x\n\ntext":                6 * time.Second,
		"Subject: x\x00\r\n":                6 * time.Minute,
		"Subject: x\n\ntext\n.\nNOOP\r\n.x": 6 * time.Second,
	} {
		inBubble(t, nil, func(c *timed) {
			c.envelope()
			c.say("DATA\r\n")
			c.hear("354 ")
			c.say(text)
			began := time.Now()
			c.hear("550 5.5.2 ")
			if took := time.Since(began); took > most {
				t.Errorf("%q: it took %v", text, took)
			}
		})
	}
}

// TestRefusedEndless: what follows the fault is read up to a bound.
func TestRefusedEndless(t *testing.T) {
	c := everything(new(bottomless))
	piece := strings.Repeat("x", 1<<20)
	conn := &flood{reel: reel{pieces: []string{envelopeOf, "DATA\r\n", "bare\n"}}, piece: piece, n: 1000}
	Serve(t.Context(), c, Client{}, conn)
	if read := 1000 - conn.n; read > 66 || !strings.Contains(conn.out.String(), "\r\n550 5.5.2 ") {
		t.Errorf("%d MiB were read: %.1000s", read, conn.out.String())
	}
}
