//go:build system

package interop

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestJourney is the main job on real input: mail from real clients to smap under inetd as root, through the spool and
// smapd to Postfix, into a user's mailbox.
func TestJourney(t *testing.T) {
	t.Parallel()
	kit.Syslog(t)
	s := kit.NewSite(t)
	bob := kit.NewPerson(t, s.Dir, "smt-journey")
	p := kit.StartPostfix(t, s, "", "")
	s.Rules("smap: hostname mx.system.test", "smap: local-domains system.test", "smapd: log stderr", p.Sendmail())
	port := kit.StartInetd(t, s)
	kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	maildir := filepath.Join(bob.Home, "Maildir")
	to := bob.Name + "@system.test"

	var sent []string
	for name, send := range map[string]func(t *testing.T, s *kit.Site, port int, to, text string){
		"swaks": sendSwaks, "curl": sendCurl, "smtplib": sendSmtplib,
	} {
		text := kit.Message(kit.FromAddress, to, name)
		t.Run(name, func(t *testing.T) { send(t, s, port, to, text) })
		sent = append(sent, text)
	}
	t.Run("arrive", func(t *testing.T) {
		for _, d := range kit.Expect(t, maildir, 30*time.Second, sent...) {
			if got := d.Head["return-path"]; len(got) != 1 || got[0] != "<"+kit.FromAddress+">" {
				t.Errorf("Return-Path %q, want <%s>", got, kit.FromAddress)
			}
		}
		if n := len(p.Lines("from=<" + kit.FromAddress + ">")); n < len(sent) {
			t.Errorf("Postfix logged the sender %d times", n)
		}
		if n := len(p.Lines("to=<"+to+">", "status=sent")); n != len(sent) {
			t.Errorf("Postfix logged the recipient %d times, want %d", n, len(sent))
		}
	})
	t.Run("smtp-source", func(t *testing.T) {
		const many = 400
		from := "source@client.test"
		text := kit.Message(from, to, "source")
		// smtp-source, too, ends the data with a line end of its own.
		file := s.Write(s.File("source.eml"), strings.TrimSuffix(text, "\n"), 0o644)
		kit.Run(t, "smtp-source", "-c", "-m", fmt.Sprint(many), "-s", "16", "-f", from, "-t", to, "-F", file, kit.Local(port))
		for range many {
			sent = append(sent, text)
		}
		kit.Expect(t, maildir, 2*time.Minute, sent...)
		// Postfix logs a moment after it delivers.
		if !kit.Eventually(5*time.Second, func() bool { return len(p.Lines("from=<"+from+">")) >= many }) {
			t.Errorf("Postfix logged the sender %d times, want %d", len(p.Lines("from=<"+from+">")), many)
		}
		if n := len(p.Lines("to=<"+to+">", "status=sent")); n != len(sent) {
			t.Errorf("Postfix logged the recipient %d times, want %d", n, len(sent))
		}
	})
	s.Empty()
}

func sendSwaks(t *testing.T, s *kit.Site, port int, to, text string) {
	// swaks ends the data with a line end of its own.
	file := s.Write(s.File("swaks.eml"), strings.TrimSuffix(text, "\n"), 0o644)
	kit.Run(t, "swaks", "--server", "127.0.0.1", "--port", fmt.Sprint(port), "--helo", "client.test",
		"--from", kit.FromAddress, "--to", to, "--data", "@"+file)
}

func sendCurl(t *testing.T, s *kit.Site, port int, to, text string) {
	file := s.Write(s.File("curl.eml"), kit.CRLF(text), 0o644)
	kit.Run(t, "curl", "-sS", "--url", fmt.Sprintf("smtp://127.0.0.1:%d/client.test", port),
		"--mail-from", kit.FromAddress, "--mail-rcpt", to, "--upload-file", file)
}

const smtplibScript = `
import smtplib, sys
port, sender, recipient, file = sys.argv[1:]
with smtplib.SMTP("127.0.0.1", int(port), local_hostname="client.test") as smtp:
    refused = smtp.sendmail(sender, [recipient], open(file, "rb").read(), mail_options=["BODY=8BITMIME"])
    assert not refused, refused
`

func sendSmtplib(t *testing.T, s *kit.Site, port int, to, text string) {
	file := s.Write(s.File("smtplib.eml"), kit.CRLF(text), 0o644)
	kit.Run(t, "python3", "-c", smtplibScript, fmt.Sprint(port), kit.FromAddress, to, file)
}

// TestOldTable runs the table of the 1990s as it stands but for its paths, with the two directories that its readers
// were told to make: one user for both programs.
func TestOldTable(t *testing.T) {
	t.Parallel()
	kit.Syslog(t)
	s := kit.NewSite(t)
	for _, box := range []string{"tmp", "new", "cur", "bad"} {
		if err := os.Remove(s.Path(box)); err != nil {
			t.Fatal(err)
		}
	}
	s.Mkdir(s.Spool, 0o700, 5, 0)
	s.Mkdir(s.Path("bad"), 0o700, 5, 0)
	agent := kit.NewRecorder(t, s)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	s.Write(s.Table, strings.NewReplacer("SPOOL", s.Spool, "SMAPD", kit.Program(t, "smapd"), "SENDMAIL", agent.Program).Replace(
		`smap, smapd:    userid 5
smap, smapd:    directory SPOOL
smapd:          executable SMAPD
smapd:          sendmail SENDMAIL
smapd:          baddir SPOOL/bad
smap:           timeout 3600
`), 0o600)
	s.Mkdir(agent.Dir, 0o755, 5, 0)
	port := kit.StartInetd(t, s)
	kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	to := "root@" + host
	text := kit.Message("root@bigco.com", to, "old")
	sendSwaks(t, s, port, to, text)
	calls := agent.Wait(1, 20*time.Second)
	if got := kit.Split(calls[0].Content); got.Rest != text {
		t.Errorf("arrived as %q", got.Rest)
	}
	s.Empty()
}
