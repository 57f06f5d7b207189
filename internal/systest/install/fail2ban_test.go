//go:build system

package install

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestFail2ban has fail2ban read what smap logs: alerts and unknown addresses count, and what a client says counts for nobody.
func TestFail2ban(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	known := s.Write(s.File("known"), "bob@example.com\n", 0o644)
	s.Rules("smap: hostname mx.example.com", "smap: local-domains example.com", "smap: recipients "+known, "smap: log stderr")
	port := kit.FreePort(t)
	smap := kit.Start(t, kit.Program(t, "smap"), "-c", s.Table, "-listen", kit.Local(port))
	kit.Listening(t, port)
	c := kit.DialSMTP(t, port)
	c.Reply("220")
	c.Say("HELO client.test", "250")
	c.Say("MAIL FROM:<ann@client.test>", "250")
	c.Say("RCPT TO:<nobody@example.com>", "550")
	c.Say("RCPT TO:<bob@example.com>", "250")
	c.Say("securityalert: deny client=192.0.2.7 ", "500")
	c.Say("HELO \x1b[2J", "500")
	if !kit.Eventually(5*time.Second, func() bool { return strings.Contains(smap.Log(), "control characters") }) {
		t.Fatalf("no alert in\n%s", smap.Log())
	}
	stamp := regexp.MustCompile(`(?m)^\S+Z smap: `)
	log := s.Write(s.File("mail.log"), stamp.ReplaceAllString(smap.Log(), "Nov 23 20:04:13 mx smap[4711]: "), 0o644)
	config := s.File("fail2ban")
	kit.Run(t, "cp", "-r", "/etc/fail2ban", config)
	kit.Run(t, "cp", "../../../contrib/fail2ban/filter.d/smap.conf", filepath.Join(config, "filter.d"))
	out, err := exec.Command("fail2ban-regex", "--print-all-matched", log, filepath.Join(config, "filter.d/smap.conf")).CombinedOutput()
	text := string(out)
	if err != nil || !strings.Contains(text, ", 2 matched,") {
		t.Errorf("%v\n%s\nof\n%s", err, text, smap.Log())
	}
	if strings.Contains(text, "| 192.0.2.7") {
		t.Errorf("a client had another one banned:\n%s", text)
	}
}
