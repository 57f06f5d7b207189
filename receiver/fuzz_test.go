package receiver

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/rogpeppe/go-internal/txtar"

	"smap/spoolfmt/envelope"
)

// checkReplies wants replies that a client can read: RFC 5321 4.2 and 4.5.3.1.5.
func checkReplies(t *testing.T, replies []string, utf8OK bool) {
	t.Helper()
	for _, r := range replies {
		code := ""
		for line := range strings.SplitAfterSeq(r, "\r\n") {
			if line == "" {
				continue
			}
			text, ended := strings.CutSuffix(line, "\r\n")
			switch {
			case !ended || len(line) > 512 || len(text) < 4 || strings.ContainsAny(text, "\r\n\x00"):
				t.Fatalf("reply line %q", line)
			case text[0] < '2' || text[0] > '5' || code != "" && code != text[:3] || text[3] != ' ' && text[3] != '-':
				t.Fatalf("reply line %q of %q", line, r)
			case !utf8OK && !ascii(text) || !utf8.ValidString(text):
				t.Fatalf("reply line %q is not ASCII", line)
			}
			code = text[:3]
		}
	}
}

// An expected walks through what a client said and what the server replied,
// with its own idea of where commands and messages begin and end.
type expected struct {
	t        *testing.T
	rest     string
	replies  []string
	messages []string
	chunks   string
}

// reply takes the next reply, "" when there is none.
func (e *expected) reply() string {
	if len(e.replies) == 0 {
		return ""
	}
	r := e.replies[0]
	e.replies = e.replies[1:]
	return r
}

// last wants the session to end with this reply, or, where code is "", with
// none or one that accepts nothing.
func (e *expected) last(code string) {
	e.t.Helper()
	r := e.reply()
	if code != "" && !strings.HasPrefix(r, code) || r != "" && r[0] < '4' || len(e.replies) > 0 {
		e.t.Fatalf("want %q as the last reply, got %q, %q; %q is left of the input", code, r, e.replies, e.rest)
	}
}

// walk checks the replies and returns the messages that were accepted.
func (e *expected) walk() []string {
	if !strings.HasPrefix(e.reply(), "220 ") {
		e.t.Fatal("no greeting")
	}
	for len(e.replies) > 0 {
		line, after, whole := strings.Cut(e.rest, "\n")
		if !whole {
			e.last("")
			break
		}
		command, ok := strings.CutSuffix(line, "\r")
		if !ok || strings.Contains(command, "\r") {
			e.last("550 5.5.2 "[:4])
			break
		}
		e.rest = after
		r := e.reply()
		verb, arg, _ := strings.Cut(strings.ToUpper(command), " ")
		long := len(line)+1 > maxCommand
		switch {
		case r == "":
			e.t.Fatalf("no reply to %q", command)
		case strings.HasPrefix(r, "354"):
			e.data()
		case verb == "BDAT" && !long && !badText(command):
			e.bdat(strings.Trim(arg, " "), r)
		case strings.HasPrefix(r, "221"), strings.HasPrefix(r, "421"):
			if len(e.replies) > 0 {
				e.t.Fatalf("%q after %q", e.replies, r)
			}
		case strings.HasPrefix(r, "250") && strings.Contains(r, "accepted"):
			e.t.Fatalf("%q to %q", r, command)
		case verb == "RSET" && r[0] == '2':
			e.chunks = ""
		}
	}
	return e.messages
}

// data goes over a message and the reply to it.
func (e *expected) data() {
	content, used, ended, ok := reference(e.rest, true)
	switch {
	case !ok:
		e.last("550")
	case !ended:
		e.last("421")
	default:
		e.rest = e.rest[used:]
		if r := e.reply(); strings.HasPrefix(r, "250") {
			e.messages = append(e.messages, content)
		} else if r == "" {
			e.t.Fatal("no reply to a message")
		}
	}
}

// bdat goes over a chunk, to which r was the reply.
func (e *expected) bdat(arg, r string) {
	size, word, last := strings.Cut(arg, " ")
	var n int
	_, err := fmt.Sscanf(size, "%d", &n)
	switch {
	case err != nil || n > len(e.rest) || strings.HasPrefix(r, "501") || strings.HasPrefix(r, "421"):
		if r[0] < '4' || len(e.replies) > 0 {
			e.t.Fatalf("%q and %q to BDAT %s", r, e.replies, arg)
		}
		return
	}
	e.chunks += e.rest[:n]
	e.rest = e.rest[n:]
	_, _, _, ok := reference(e.chunks, false)
	switch {
	case r[0] == '2' && (!ok || last && strings.HasSuffix(e.chunks, "\r")):
		e.t.Fatalf("%q to chunks %q", r, e.chunks)
	case r[0] != '2':
		if strings.HasPrefix(r, "550 5.5.2") && len(e.replies) > 0 {
			e.t.Fatalf("%q after %q", e.replies, r)
		}
		e.chunks = ""
	case last != strings.Contains(r, "accepted"):
		e.t.Fatalf("%q to BDAT %s %s", r, arg, word)
	case last:
		content := strings.ReplaceAll(e.chunks, "\r\n", "\n")
		if content != "" && !strings.HasSuffix(content, "\n") {
			content += "\n"
		}
		e.messages = append(e.messages, content)
		e.chunks = ""
	}
}

// checkSession runs a session and holds it against what is expected; and again
// in other pieces, which must change nothing.
func checkSession(t *testing.T, stream string, at int) {
	t.Helper()
	replies, committed := runReel(t, stream)
	checkReplies(t, replies, strings.Contains(strings.ToUpper(stream), "SMTPUTF8"))
	e := &expected{t: t, rest: stream, replies: slices.Clone(replies)}
	want := e.walk()
	var got []string
	for _, m := range committed {
		got = append(got, m.content)
		if !strings.HasPrefix(m.trace, "Received: from ") || !strings.HasSuffix(m.trace, " +0000\n") {
			t.Errorf("trace %q", m.trace)
		}
	}
	for i := range want {
		want[i] = opened(want[i])
	}
	if !slices.Equal(got, want) {
		t.Fatalf("spooled %q, accepted %q\nin %q", got, want, replies)
	}
	for _, pieces := range [][]string{octets(stream), halves(stream, at%(len(stream)+1))} {
		again, also := runReel(t, pieces...)
		if tail := stream[strings.LastIndexByte(stream, '\n')+1:]; len(tail) > maxCommand-2 {
			// Whether a bare CR is seen before the client is gone depends on the pieces.
			again, replies = withoutRefusal(again), withoutRefusal(replies)
		}
		if !slices.Equal(again, replies) || len(also) != len(committed) {
			t.Fatalf("in pieces %.60q: %q, %d messages\nwhole: %q, %d", pieces, again, len(also), replies, len(committed))
		}
	}
}

func withoutRefusal(replies []string) []string {
	if n := len(replies); n > 0 && strings.HasPrefix(replies[n-1], "550 ") {
		return replies[:n-1]
	}
	return replies
}

// dialogueStreams are what clients say in testdata/smtp.
func dialogueStreams(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob("../testdata/smtp/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("%d dialogues: %v", len(files), err)
	}
	var streams []string
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for line := range strings.Lines(string(archive.Files[0].Data)) {
			verb, times, text := cutLine(strings.TrimSuffix(line, "\n"))
			if (verb == "C" || verb == "R") && times*len(text) < 1<<14 {
				b.WriteString(strings.Repeat(text, times))
			}
		}
		streams = append(streams, b.String())
	}
	return streams
}

// FuzzSession is a whole session: what is spooled was answered by 250 and is
// what was sent, and nothing is accepted after a bad line end.
func FuzzSession(f *testing.F) {
	for _, s := range []string{
		envelopeOf + "DATA\r\nSubject: x\r\n\r\n..dot\r\n.\r\nQUIT\r\n",
		envelopeOf + "BDAT 6\r\ntext\r\nBDAT 0 LAST\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nBDAT 4 LAST\r\n\r\n\r\nQUIT\r\n",
		envelopeOf + "DATA\r\ntext\n.\r\n" + smuggled,
		envelopeOf + "DATA\r\ntext\r\n.\n" + smuggled,
		envelopeOf + "DATA\r\ntext\r\n.\r",
		envelopeOf + "BDAT 100\r\nx",
		envelopeOf + "BDAT 3\r\na\r\nBDAT 2 LAST\r\n\nb",
		envelopeOf + "RSET\r\nDATA\r\nBDAT 4\r\nQUITNOOP\r\nVRFY x\r\nHELP\r\n",
		"HELO c.test\r\nmail from:<a@c.test>\r\nrcpt to:<b@local.test>\r\ndata\r\n.\r\nquit\r\n",
		"EHLO c.test\r\nMAIL FROM:<\"a b\"@c.test> SIZE=5 BODY=8BITMIME RET=HDRS ENVID=x+2B\r\nRCPT TO:<b@local.test> NOTIFY=NEVER ORCPT=rfc822;x\r\n",
		"EHLO c.test\r\nMAIL FROM:<\u00fc@c.test> SMTPUTF8\r\nRCPT TO:<@a.test,@b.test:\u00fc@local.test>\r\nDATA\r\n\x80\r\n.\r\n",
		"NOOP\rNOOP\r\n", "\x00\r\n", "STARTTLS\r\nGET / HTTP/1.1\r\n", strings.Repeat("x", 3000) + "\r\nNOOP\r\n",
	} {
		f.Add([]byte(s), uint16(40))
	}
	for _, s := range dialogueStreams(f) {
		f.Add([]byte(s), uint16(len(s)/2))
	}
	f.Fuzz(func(t *testing.T, stream []byte, at uint16) { checkSession(t, string(stream), int(at)) })
}

// opened is a content with what keeps its beginning apart from our field.
func opened(content string) string {
	switch {
	case strings.HasPrefix(content, " "), strings.HasPrefix(content, "\t"):
		return "\n" + content
	case strings.HasPrefix(content, mailboxFrom):
		return mailboxLine + content
	}
	return content
}

// FuzzChunks cuts a content into chunks: it is accepted if and only if it may
// be, and as it is.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("Subject: x\r\n\r\n.\r\ntext\r\n"), []byte{5, 0, 7})
	f.Add([]byte("a\r\nb"), []byte{2})
	f.Add([]byte("a\nb\r"), []byte{1, 1})
	f.Add([]byte("a\r\nb\r"), []byte{})
	f.Fuzz(func(t *testing.T, content, cuts []byte) {
		var b strings.Builder
		b.WriteString(envelopeOf)
		rest := string(content)
		for _, n := range cuts[:min(len(cuts), 50)] {
			at := min(int(n), len(rest))
			fmt.Fprintf(&b, "BDAT %d\r\n%s", at, rest[:at])
			rest = rest[at:]
		}
		fmt.Fprintf(&b, "BDAT %d LAST\r\n%s", len(rest), rest)
		replies, committed := runReel(t, b.String())
		want, _, _, ok := reference(string(content), false)
		if strings.HasSuffix(string(content), "\r") {
			ok = false
		}
		if want != "" && !strings.HasSuffix(want, "\n") {
			want += "\n"
		}
		switch {
		case len(want) > 1<<20 || strings.Count(strings.ToLower(want), "received:") > maxReceived:
		case ok != (len(committed) == 1) || ok && committed[0].content != opened(want):
			t.Errorf("accepted %d messages, want %q, %v\nreplies %q", len(committed), want, ok, replies)
		}
		checkSession(t, b.String(), len(content))
	})
}

// FuzzCommand gives a session one line in every phase. What MAIL and RCPT accept
// can be written to an envelope and read again.
func FuzzCommand(f *testing.F) {
	for _, s := range []string{
		"MAIL FROM:<a@c.test>", "MAIL FROM: <> SIZE=1", "mail from:<@r:\"a\\\"> \"@c.test>  BODY=8BITMIME RET=FULL ENVID=q", "RCPT TO:<b@local.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;x",
		"RCPT TO:<@a,@b:Postmaster>", "RCPT TO:<\"b%c\"@local.test>", "MAIL FROM:<\u00fc@[IPv6:::1]> SMTPUTF8", "MAIL FROM:<|x@c.test>", "RCPT TO:<:include:x@local.test>",
		"EHLO [1.2.3.4]", "HELO x", "BDAT 0 LAST", "DATA", "RSET", "STARTTLS", "VRFY <x>", "HELP", "", " ", "NOOP\x7f",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		for _, before := range []string{"", "EHLO c.test\r\n", "EHLO c.test\r\nMAIL FROM:<a@c.test> SMTPUTF8\r\n", envelopeOf} {
			if strings.ContainsAny(line, "\r\n") || len(line) > maxCommand-2 {
				return // other targets' work
			}
			s := newSession(everything(new(memorySpool)), Client{}, &reel{})
			for c := range strings.SplitSeq(strings.TrimSuffix(before, "\r\n"), "\r\n") {
				s.execute(c)
			}
			was := s.phase
			r := s.execute(line)
			out := r.append(nil, true)
			checkReplies(t, splitReplies(string(out)), s.utf8 || was == Sender)
			verb, _, _ := strings.Cut(strings.ToUpper(line), " ")
			if accepted := r.Code == 250 && verb == "RCPT"; accepted || r.Code == 250 && verb == "MAIL" {
				checkEnvelope(t, s, line)
			}
			s.reset()
		}
	})
}

// checkEnvelope wants what was accepted to survive the envelope.
func checkEnvelope(t *testing.T, s *session, line string) {
	t.Helper()
	recipients := s.recipients
	if len(recipients) == 0 {
		recipients = []envelope.Path{{Address: "b@local.test"}}
	}
	e, err := envelope.New(s.sender, recipients)
	if err != nil {
		t.Fatalf("%q was accepted: %v", line, err)
	}
	e.SetSize(1)
	data, err := e.Marshal()
	if err != nil {
		t.Fatalf("%q was accepted: %v", line, err)
	}
	again, err := envelope.Parse(data)
	if err != nil {
		t.Fatalf("%q was accepted: %v in\n%s", line, err, data)
	}
	if again.Sender().String() != s.sender.String() || len(again.Recipients()) != len(recipients) {
		t.Fatalf("%q became\n%s", line, data)
	}
	for i, r := range again.Recipients() {
		local, domain := envelope.SplitAddress(r.Address)
		plain := envelope.UnquoteLocal(local)
		if r.String() != recipients[i].String() || domain != "" && !strings.EqualFold(domain, "local.test") ||
			strings.ContainsAny(plain, "%!@:") || strings.HasPrefix(plain, "-") || strings.HasPrefix(plain, "|") || strings.HasPrefix(plain, "/") {
			t.Fatalf("%q became\n%s", line, data)
		}
	}
}
