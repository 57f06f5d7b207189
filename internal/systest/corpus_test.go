//go:build system

package systest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// corpus holds the messages that Python tests its email package with, and files that are no messages at all.
const corpus = "/usr/lib/python3.11/test/test_email/data"

// TestCorpus sends real messages, as lines by DATA and as they are by BDAT: each comes out octet for octet, or is refused
// for what RFC 5321 2.3.8 forbids.
func TestCorpus(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.rules("smap: hostname mx.system.test", "smap: local-domains system.test", "smap: maxperclient 200", "smap, smapd: log stderr")
	port := freePort(t)
	start(t, program(t, "smap"), "-c", s.table, "-listen", local(port))
	listening(t, port)
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
			"DATA": "DATA\r\n" + crlf(stuffed) + ".\r\n",
			"BDAT": fmt.Sprintf("BDAT %d LAST\r\n%s", len(raw), raw),
		} {
			to := fmt.Sprintf("%s-%d@system.test", strings.ToLower(how), i)
			sent := string(raw)
			if how == "DATA" {
				sent = crlf(lines)
			}
			if s.sendCorpus(port, to, wire, strings.ContainsAny(strings.ReplaceAll(sent, "\r\n", ""), "\r\n\x00")) {
				refused++
				continue
			}
			accepted++
			m := s.spooledFor(to, 1, 0)[0]
			_, rest, _ := strings.Cut(m.content, " +0000\n")
			if rest != lines {
				t.Errorf("%s by %s arrived as %q", filepath.Base(file), how, head(rest, 2000))
			}
		}
	}
	t.Logf("%d accepted, %d refused", accepted, refused)
	if accepted < 48 || refused < 48 || s.count("new") != 2*accepted || s.count("tmp") != 0 {
		t.Errorf("%d accepted, %d refused; %d files in new/, %d in tmp/", accepted, refused, s.count("new"), s.count("tmp"))
	}
}

// sendCorpus sends one message in a session of its own and tells whether it was refused, as it must be or not.
func (s *site) sendCorpus(port int, to, wire string, bad bool) bool {
	s.t.Helper()
	c := dialSMTP(s.t, port)
	defer c.Close()
	c.reply("220")
	c.say("EHLO client.test", "250")
	c.say("MAIL FROM:<"+fromAddress+"> BODY=8BITMIME", "250")
	c.say("RCPT TO:<"+to+">", "250")
	if _, err := c.Write([]byte(wire)); err != nil {
		s.t.Fatal(err)
	}
	if strings.HasPrefix(wire, "DATA") {
		c.reply("354")
	}
	if bad {
		c.reply("550 5.5.2 ")
		return true
	}
	c.reply("250 2.0.0 ")
	c.say("QUIT", "221")
	return false
}
