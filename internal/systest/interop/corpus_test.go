//go:build system

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"smap/internal/systest/kit"
)

// corpus holds the messages that Python tests its email package with, and files that are no messages at all.
const corpus = "/usr/lib/python3.11/test/test_email/data"

// TestCorpus sends real messages, as lines by DATA and as they are by BDAT: each comes out octet for octet, but for the
// line of a mailbox at its beginning, or is refused for what RFC 5321 2.3.8 forbids.
func TestCorpus(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	s.Rules("smap: hostname mx.system.test", "smap: local-domains system.test", "smap: maxperclient 200", "smap, smapd: log stderr")
	port := kit.FreePort(t)
	kit.Start(t, kit.Program(t, "smap"), "-c", s.Table, "-listen", kit.Local(port))
	kit.Listening(t, port)
	files, err := filepath.Glob(corpus + "/*.*")
	if err != nil || len(files) < 50 {
		t.Fatalf("%d files in %s: %v", len(files), corpus, err)
	}
	accepted, refused := 0, 0
	for i, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.ReplaceAll(string(raw), "\r\n", "\n")
		if !strings.HasSuffix(lines, "\n") {
			lines += "\n"
		}
		stuffed := strings.ReplaceAll("\n"+lines, "\n.", "\n..")[1:]
		for how, wire := range map[string]string{
			"DATA": "DATA\r\n" + kit.CRLF(stuffed) + ".\r\n",
			"BDAT": fmt.Sprintf("BDAT %d LAST\r\n%s", len(raw), raw),
		} {
			to := fmt.Sprintf("%s-%d@system.test", strings.ToLower(how), i)
			sent := string(raw)
			if how == "DATA" {
				sent = kit.CRLF(lines)
			}
			if sendCorpus(s, port, to, wire, strings.ContainsAny(strings.ReplaceAll(sent, "\r\n", ""), "\r\n\x00")) {
				refused++
				continue
			}
			accepted++
			m := s.SpooledFor(to, 1, 0)[0]
			_, rest, _ := strings.Cut(m.Content, " +0000\n")
			want := lines
			if strings.HasPrefix(lines, "From ") {
				want = "X-Mailbox-Line: " + lines // smap(8)
			}
			if rest != want {
				t.Errorf("%s by %s arrived as %q", filepath.Base(file), how, kit.Head(rest, 2000))
			}
		}
	}
	t.Logf("%d accepted, %d refused", accepted, refused)
	if accepted < 48 || refused < 48 || s.Count("new") != 2*accepted || s.Count("tmp") != 0 {
		t.Errorf("%d accepted, %d refused; %d files in new/, %d in tmp/", accepted, refused, s.Count("new"), s.Count("tmp"))
	}
}

// sendCorpus sends one message in a session of its own and tells whether it was refused, as it must be or not.
func sendCorpus(s *kit.Site, port int, to, wire string, bad bool) bool {
	s.T.Helper()
	c := kit.DialSMTP(s.T, port)
	defer c.Close()
	c.Reply("220")
	c.Say("EHLO client.test", "250")
	c.Say("MAIL FROM:<"+kit.FromAddress+"> BODY=8BITMIME", "250")
	c.Say("RCPT TO:<"+to+">", "250")
	if _, err := c.Write([]byte(wire)); err != nil {
		s.T.Fatal(err)
	}
	if strings.HasPrefix(wire, "DATA") {
		c.Reply("354")
	}
	if bad {
		c.Reply("550 5.5.2 ")
		return true
	}
	c.Reply("250 2.0.0 ")
	c.Say("QUIT", "221")
	return false
}
