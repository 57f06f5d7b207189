//go:build system

package systest

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const fromAddress = "ann@client.test"

// TestJourney is the main job on real input: mail from real clients to smap under inetd as root, through the spool and
// smapd to Postfix, into a user's mailbox.
func TestJourney(t *testing.T) {
	t.Parallel()
	syslog(t)
	s := newSite(t)
	bob := newPerson(t, s.dir, "smt-journey")
	p := startPostfix(t, s, "", "")
	s.rules("smap: hostname mx.system.test", "smap: local-domains system.test", "smapd: log stderr", p.sendmail())
	port := startInetd(t, s)
	start(t, program(t, "smapd"), "-c", s.table)
	maildir := filepath.Join(bob.home, "Maildir")
	to := bob.name + "@system.test"

	var sent []string
	for name, send := range map[string]func(t *testing.T, s *site, port int, to, text string){
		"swaks": sendSwaks, "curl": sendCurl, "smtplib": sendSmtplib,
	} {
		text := message(fromAddress, to, name)
		t.Run(name, func(t *testing.T) { send(t, s, port, to, text) })
		sent = append(sent, text)
	}
	t.Run("arrive", func(t *testing.T) {
		for _, d := range expect(t, maildir, 30*time.Second, sent...) {
			if got := d.head["return-path"]; len(got) != 1 || got[0] != "<"+fromAddress+">" {
				t.Errorf("Return-Path %q, want <%s>", got, fromAddress)
			}
		}
		if n := len(p.lines("from=<" + fromAddress + ">")); n < len(sent) {
			t.Errorf("Postfix logged the sender %d times", n)
		}
		if n := len(p.lines("to=<"+to+">", "status=sent")); n != len(sent) {
			t.Errorf("Postfix logged the recipient %d times, want %d", n, len(sent))
		}
	})
	t.Run("smtp-source", func(t *testing.T) {
		const many = 400
		from := "source@client.test"
		text := message(from, to, "source")
		// smtp-source, too, ends the data with a line end of its own.
		file := s.write(s.file("source.eml"), strings.TrimSuffix(text, "\n"), 0o644)
		run(t, "smtp-source", "-c", "-m", fmt.Sprint(many), "-s", "16", "-f", from, "-t", to, "-F", file, local(port))
		for range many {
			sent = append(sent, text)
		}
		expect(t, maildir, 2*time.Minute, sent...)
		// Postfix logs a moment after it delivers.
		if !eventually(5*time.Second, func() bool { return len(p.lines("from=<"+from+">")) >= many }) {
			t.Errorf("Postfix logged the sender %d times, want %d", len(p.lines("from=<"+from+">")), many)
		}
		if n := len(p.lines("to=<"+to+">", "status=sent")); n != len(sent) {
			t.Errorf("Postfix logged the recipient %d times, want %d", n, len(sent))
		}
	})
	s.empty()
}

func sendSwaks(t *testing.T, s *site, port int, to, text string) {
	// swaks ends the data with a line end of its own.
	file := s.write(s.file("swaks.eml"), strings.TrimSuffix(text, "\n"), 0o644)
	run(t, "swaks", "--server", "127.0.0.1", "--port", fmt.Sprint(port), "--helo", "client.test",
		"--from", fromAddress, "--to", to, "--data", "@"+file)
}

func sendCurl(t *testing.T, s *site, port int, to, text string) {
	file := s.write(s.file("curl.eml"), crlf(text), 0o644)
	run(t, "curl", "-sS", "--url", fmt.Sprintf("smtp://127.0.0.1:%d/client.test", port),
		"--mail-from", fromAddress, "--mail-rcpt", to, "--upload-file", file)
}

const smtplibScript = `
import smtplib, sys
port, sender, recipient, file = sys.argv[1:]
with smtplib.SMTP("127.0.0.1", int(port), local_hostname="client.test") as smtp:
    refused = smtp.sendmail(sender, [recipient], open(file, "rb").read(), mail_options=["BODY=8BITMIME"])
    assert not refused, refused
`

func sendSmtplib(t *testing.T, s *site, port int, to, text string) {
	file := s.write(s.file("smtplib.eml"), crlf(text), 0o644)
	run(t, "python3", "-c", smtplibScript, fmt.Sprint(port), fromAddress, to, file)
}

// TestOldTable runs the table of the 1990s as it stands but for its paths, with the two directories that its readers
// were told to make: one user for both programs.
func TestOldTable(t *testing.T) {
	t.Parallel()
	syslog(t)
	s := newSite(t)
	for _, box := range []string{"tmp", "new", "cur", "bad"} {
		if err := os.Remove(s.path(box)); err != nil {
			t.Fatal(err)
		}
	}
	s.mkdir(s.spool, 0o700, 5, 0)
	s.mkdir(s.path("bad"), 0o700, 5, 0)
	agent := newRecorder(t, s)
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	s.write(s.table, strings.NewReplacer("SPOOL", s.spool, "SMAPD", program(t, "smapd"), "SENDMAIL", agent.program).Replace(
		`smap, smapd:    userid 5
smap, smapd:    directory SPOOL
smapd:          executable SMAPD
smapd:          sendmail SENDMAIL
smapd:          baddir SPOOL/bad
smap:           timeout 3600
`), 0o600)
	s.mkdir(agent.dir, 0o755, 5, 0)
	port := startInetd(t, s)
	start(t, program(t, "smapd"), "-c", s.table)
	to := "root@" + host
	text := message("root@bigco.com", to, "old")
	sendSwaks(t, s, port, to, text)
	calls := agent.wait(1, 20*time.Second)
	if got := split(calls[0].content); got.rest != text {
		t.Errorf("arrived as %q", got.rest)
	}
	s.empty()
}
