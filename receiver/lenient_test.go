package receiver

import (
	"strings"
	"testing"
)

// leniently has a session of a lenient host hear these pieces.
func leniently(t *testing.T, pieces ...string) (replies []string, committed []memoryMessage) {
	t.Helper()
	spool := new(memorySpool)
	conn := &reel{pieces: pieces}
	Serve(t.Context(), everything(spool), Client{Lenient: true}, conn)
	if spool.open != 0 {
		t.Errorf("%d drafts are left open", spool.open)
	}
	return conn.replies(), spool.committed
}

const (
	crlfCommands = "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@local.test>\r\nDATA\r\n"
	lfCommands   = "EHLO c.test\nMAIL FROM:<a@c.test>\nRCPT TO:<b@local.test>\nDATA\n"
)

// TestLenient has what programs of hosts that the table lists send. From anybody
// else each is refused.
func TestLenient(t *testing.T) {
	const want = "Subject: x\n\n.text\nmore\n"
	for name, x := range map[string]struct{ commands, message, end, content string }{
		"as RFC 5321 has it":          {crlfCommands, "Subject: x\r\n\r\n..text\r\nmore\r\n.\r\n", "QUIT\r\n", want},
		"LF everywhere":               {lfCommands, "Subject: x\n\n..text\nmore\n.\n", "QUIT\n", want},
		"a file with LF, as Python":   {crlfCommands, "Subject: x\n\n..text\nmore\n\r\n.\r\n", "QUIT\r\n", want + "\n"},
		"a file without its last LF":  {crlfCommands, "Subject: x\n\n..text\nmore\r\n.\r\n", "QUIT\r\n", want},
		"LF, and the dot with CR LF":  {crlfCommands, "Subject: x\n\n..text\nmore\n.\r\n", "QUIT\r\n", want},
		"CR CR LF, as PHP":            {crlfCommands, "Subject: x\r\r\n\r\r\n..text\r\r\nmore\r\r\n.\r\n", "QUIT\r\n", want},
		"CR CR LF in the header only": {crlfCommands, "Subject: x\r\r\n\r\n..text\r\nmore\r\n.\r\n", "QUIT\r\n", want},
		"empty":                       {crlfCommands, ".\r\n", "QUIT\r\n", ""},
		"empty with LF":               {lfCommands, ".\n", "QUIT\n", ""},
		"one line":                    {crlfCommands, "text\r\n.\r\n", "QUIT\r\n", "text\n"},
	} {
		stream := x.commands + x.message + x.end
		at := len(x.commands)
		for _, pieces := range [][]string{
			{x.commands, x.message, x.end}, {x.commands, x.message + x.end}, append([]string{x.commands}, octets(x.message+x.end)...), octets(stream), {stream[:at], stream[at : at+5], stream[at+5:]},
		} {
			if pieces[len(pieces)-1] == "" {
				continue
			}
			replies, committed := leniently(t, pieces...)
			if len(committed) != 1 || committed[0].content != x.content || !strings.HasPrefix(replies[len(replies)-1], "221 ") {
				t.Errorf("%s in %d pieces: %+v, want %q; %q", name, len(pieces), committed, x.content, replies)
			}
		}
		if name == "as RFC 5321 has it" || name == "one line" || name == "empty" {
			continue
		}
		if replies, committed := runReel(t, x.commands, x.message, x.end); len(committed) > 0 {
			t.Errorf("%s from a stranger: %+v; %q", name, committed, replies)
		}
	}
}

// TestLenientMixtures are refused: nobody can tell where their lines end.
func TestLenientMixtures(t *testing.T) {
	for name, x := range map[string]struct{ commands, message string }{
		"LF among CR LF":             {crlfCommands, "Subject: x\r\n\r\ntext\nmore\r\n.\r\n"},
		"CR LF among LF":             {crlfCommands, "Subject: x\n\ntext\r\nmore\n.\r\n"},
		"an empty CR LF among LF":    {crlfCommands, "Subject: x\n\r\ntext\n.\r\n"},
		"a dot with LF":              {crlfCommands, "Subject: x\n\ntext\n.\nmore\n.\r\n"},
		"a dot with LF after CR LF":  {crlfCommands, "Subject: x\r\n\r\ntext\r\n.\nmore\r\n.\r\n"},
		"CR":                         {crlfCommands, "Subject: x\r\n\r\ntext\rmore\r\n.\r\n"},
		"CR CR CR LF":                {crlfCommands, "Subject: x\r\n\r\ntext\r\r\r\nmore\r\n.\r\n"},
		"a dot with CR CR LF":        {crlfCommands, "Subject: x\r\r\n\r\r\ntext\r\r\n.\r\r\nmore\r\r\n.\r\n"},
		"CR LF dot CR LF among LF":   {lfCommands, "Subject: x\n\ntext\r\n.\r\nmore\n.\n"},
		"NUL":                        {lfCommands, "Subject: x\n\nte\x00xt\n.\n"},
		"LF in commands after CR LF": {"EHLO c.test\r\nNOOP\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@local.test>\r\nDATA\r\n", "text\r\n.\r\n"},
	} {
		for _, pieces := range [][]string{{x.commands, x.message}, octets(x.commands + x.message)} {
			replies, committed := leniently(t, pieces...)
			if len(committed) != 0 || !strings.HasPrefix(replies[len(replies)-1], "550 5.5.2 ") {
				t.Errorf("%s in %d pieces: %+v; %q", name, len(pieces), committed, replies)
			}
		}
	}
}

// TestLenientBdat: where the octets that arrive are not those that were sent,
// there are no chunks.
func TestLenientBdat(t *testing.T) {
	replies, committed := leniently(t, "EHLO c.test\r\n", "MAIL FROM:<a@c.test>\r\nRCPT TO:<b@local.test>\r\nBDAT 6 LAST\r\ntext\r\n")
	if len(committed) != 0 || strings.Contains(replies[1], "CHUNKING") || !strings.HasPrefix(replies[len(replies)-1], "502 ") {
		t.Errorf("%+v; %q", committed, replies)
	}
}

// TestLenientLong: a long message passes through in pieces of any size.
func TestLenientLong(t *testing.T) {
	message := strings.Repeat("0123456789\n", 20_000)
	want := message
	replies, committed := leniently(t, crlfCommands, message+"\r\n.\r\n", "QUIT\r\n")
	if len(committed) != 1 || committed[0].content != want+"\n" {
		t.Errorf("%d messages; %q", len(committed), replies)
	}
}
