package receiver

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"strings"
	"testing"
)

// lineEnds are what some servers take for the end of a line.
var lineEnds = []string{"\r\n", "\n", "\r", "\r\r\n", "\n\r", "\n\n", "\r\r", "\r\x00\n", "\r\n\x00", "\x00\r\n", "\r\n\n", "\r\n\r"}

// falseEnds are ends of data that are none: every pair of line ends around a
// dot but the right one, which holds those that the published scanners send
// (Longin's SMTP Smuggling Scanner; Böck's smtpsmug), and NUL beside the dot.
func falseEnds() []string {
	ends := []string{"\r\n.\x00\r\n", "\r\n\x00.\r\n", "\r\n.\r\x00\n", "\r\x00\n.\r\n", "\x00\r\n.\r\n"}
	for _, before := range lineEnds {
		for _, after := range lineEnds {
			// With CR LF on both sides the message has ended; what follows then is
			// a command.
			if !strings.HasSuffix(before, "\r\n") || !strings.HasPrefix(after, "\r\n") || strings.Contains(before, "\x00") {
				ends = append(ends, before+"."+after)
			}
		}
	}
	return ends
}

const smuggled = "MAIL FROM:<admin@local.test>\r\nRCPT TO:<b@local.test>\r\nDATA\r\nSubject: smuggled\r\n\r\n.\r\n"

const envelopeOf = "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@local.test>\r\n"

// refusedWhole wants a session to have ended with the refusal of its only message, which
// is not spooled, and nothing that follows carried out.
func refusedWhole(t *testing.T, what string, replies []string, committed []memoryMessage, before int) {
	t.Helper()
	if len(committed) != 0 {
		t.Errorf("%s: %d messages were accepted: %q", what, len(committed), committed[0].content)
	}
	if len(replies) != before+1 || !strings.HasPrefix(replies[before], "550 5.5.2 ") {
		t.Errorf("%s: after %d replies %q", what, before, replies[min(before, len(replies)):])
	}
}

// everyCut calls f with a session whole, in every two halves, and octet by octet.
func everyCut(session string, f func(how string, pieces []string)) {
	f("whole", []string{session})
	f("octets", octets(session))
	for at := 1; at < len(session); at++ {
		f(fmt.Sprint("cut at ", at), halves(session, at))
	}
}

func TestSmugglingInData(t *testing.T) {
	t.Parallel()
	for _, end := range falseEnds() {
		session := envelopeOf + "DATA\r\nSubject: x\r\n\r\ntext" + end + smuggled + "QUIT\r\n"
		everyCut(session, func(how string, pieces []string) {
			replies, committed := runReel(t, pieces...)
			refusedWhole(t, fmt.Sprintf("%q, %s", end, how), replies, committed, 5) // 220, EHLO, MAIL, RCPT, 354
		})
	}
}

func TestSmugglingInChunks(t *testing.T) {
	t.Parallel()
	for _, end := range falseEnds() {
		content := "Subject: x\r\n\r\ntext" + end + smuggled
		session := envelopeOf + fmt.Sprintf("BDAT %d LAST\r\n%sQUIT\r\n", len(content), content)
		for _, pieces := range [][]string{{session}, octets(session)} {
			replies, committed := runReel(t, pieces...)
			refusedWhole(t, fmt.Sprintf("%q in %d pieces", end, len(pieces)), replies, committed, 4)
		}
		// And in two chunks, wherever the first ends.
		for at := range len(content) {
			session := envelopeOf + fmt.Sprintf("BDAT %d\r\n%sBDAT %d LAST\r\n%sQUIT\r\n", at, content[:at], len(content)-at, content[at:])
			replies, committed := runReel(t, session)
			if len(committed) != 0 || !strings.HasPrefix(replies[len(replies)-1], "550 5.5.2 ") {
				t.Errorf("%q, chunks of %d and the rest: %d messages, %q", end, at, len(committed), replies)
			}
		}
	}
}

func TestSmugglingInCommands(t *testing.T) {
	t.Parallel()
	for _, end := range lineEnds[1:] {
		if strings.HasPrefix(end, "\r\n") || strings.HasPrefix(end, "\x00") {
			continue // the line has ended well; or has NUL, which is a reply of its own
		}
		for _, command := range []string{"NOOP", "RSET", "MAIL FROM:<a@c.test>", "DATA", "BDAT 5 LAST", "QUIT", "EHLO c.test", "X", ""} {
			session := envelopeOf + command + end + smuggled + "QUIT\r\n"
			everyCut(session, func(how string, pieces []string) {
				replies, committed := runReel(t, pieces...)
				refusedWhole(t, fmt.Sprintf("%q after %q, %s", end, command, how), replies, committed, 4)
			})
		}
	}
}

// TestSmugglingRightEnd: the one right end, in every cut, is one.
func TestSmugglingRightEnd(t *testing.T) {
	everyCut(envelopeOf+"DATA\r\ntext\r\n.\r\nQUIT\r\n", func(how string, pieces []string) {
		replies, committed := runReel(t, pieces...)
		if len(committed) != 1 || committed[0].content != "text\n" || len(replies) != 7 {
			t.Errorf("%s: %d messages, %q", how, len(committed), replies)
		}
	})
}

// TestSmugglingInTLS sends the same within TLS, whole and octet by octet.
func TestSmugglingInTLS(t *testing.T) {
	t.Parallel()
	for i, end := range falseEnds() {
		if testing.Short() && i%10 > 0 { // a handshake costs more than a session
			continue
		}
		for _, cut := range []bool{false, true}[:1+i%2] {
			session := envelopeOf + "DATA\r\nSubject: x\r\n\r\ntext" + end + smuggled + "QUIT\r\n"
			pieces := []string{session}
			if cut {
				pieces = octets(session)
			}
			replies, committed := runTLS(t, pieces)
			refusedWhole(t, fmt.Sprintf("%q, cut %v", end, cut), replies, committed, 4) // no 220
		}
	}
}

// runTLS does STARTTLS and has the session hear each piece as a record.
func runTLS(t *testing.T, pieces []string) (replies []string, committed []memoryMessage) {
	t.Helper()
	s := newStage(t)
	spool := new(memorySpool)
	s.config.Spool = spool
	s.config.StartTLS = serverTLS(t)
	conn, wait := s.connect(context.Background())
	if _, err := io.WriteString(conn, "EHLO c.test\r\nSTARTTLS\r\n"); err != nil {
		t.Fatal(err)
	}
	read := ""
	for buf := make([]byte, 4096); !strings.HasSuffix(read, "TLS\r\n") || !strings.Contains(read, "220 Ready"); {
		n, err := conn.Read(buf)
		if err != nil {
			t.Fatalf("%v after %q", err, read)
		}
		read += string(buf[:n])
	}
	secure := tls.Client(pipe{conn}, clientTLS(t))
	if err := secure.Handshake(); err != nil {
		t.Fatal(err)
	}
	for _, p := range pieces {
		if _, err := io.WriteString(secure, p); err != nil {
			t.Fatal(err)
		}
	}
	out, err := io.ReadAll(secure)
	if err != nil {
		t.Errorf("%v after %q", err, out)
	}
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	wait()
	return splitReplies(string(out)), spool.committed
}
