//go:build system

package systest

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const dovecotConf = `
protocols = lmtp
base_dir = /run/dovecot
log_path = /dev/stderr
ssl = no
hostname = dovecot.test
postmaster_address = postmaster@system.test
mail_location = maildir:~/Maildir
first_valid_uid = 1
auth_mechanisms = plain login
passdb {
  driver = passwd-file
  args = /etc/dovecot/users
}
userdb {
  driver = passwd-file
  args = /etc/dovecot/users
}
service lmtp {
  unix_listener /run/lmtp {
    mode = 0666
  }
}
service auth {
  unix_listener /run/auth {
    mode = 0666
  }
}
`

// startDovecot runs Dovecot, which knows bob@system.test with the password secret, and gives the directory of its sockets
// lmtp and auth, and bob's maildir.
func startDovecot(t *testing.T, s *site) (sockets, maildir string) {
	t.Helper()
	r := newRoot(t, s, "dovecot-lmtpd")
	r.account("dovecot")
	r.account("dovenull")
	uid, gid := r.account("bob")
	s.mkdir(r.path("var/mail/bob"), 0o700, uid, gid)
	s.write(r.path("etc/dovecot/dovecot.conf"), dovecotConf, 0o644)
	s.write(r.path("etc/dovecot/users"), strings.ReplaceAll("bob@system.test:{PLAIN}secret:ID:ID::/var/mail/bob\n", "ID", itoa(uid)), 0o644)
	s.mkdir(r.path("run/dovecot"), 0o755, 0, 0)
	server := startCommand(t, r.command("/usr/sbin/dovecot", "-F"))
	lmtp := r.path("run/lmtp")
	if !eventually(20*time.Second, func() bool { found, _ := filepath.Glob(lmtp); return len(found) == 1 }) {
		t.Fatalf("Dovecot does not start: %s", server.log())
	}
	return r.path("run"), r.path("var/mail/bob/Maildir")
}

// TestDovecot has Dovecot's LMTP server take one of two recipients. That one gets the message once; the other is set
// aside with Dovecot's words, or, with reports, the sender is told.
func TestDovecot(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	sockets, maildir := startDovecot(t, s)
	reports := newRecorder(t, s)
	rules := []string{"smapd: log stderr", "smapd: badadmin none", "smapd: retry 1", "smapd: agent lmtp " + sockets + "/lmtp"}
	s.rules(rules...)
	daemon := start(t, program(t, "smapd"), "-c", s.table)
	feeder := ownFeeder(t, s.spool)
	text := message(fromAddress, "bob@system.test", "aside")
	feeder.commit("aside", fromAddress, text, "bob@system.test", "nobody@system.test")
	if !eventually(20*time.Second, func() bool { return s.field("bad", "aside", "Set-Aside") != "" }) {
		t.Error("the message was not set aside")
	}
	failed, delivered := s.field("bad", "aside", "Failed"), s.field("bad", "aside", "Delivered")
	if !strings.HasPrefix(failed, "<nobody@system.test> ") || !strings.Contains(failed, "550 5.1.1") ||
		!strings.Contains(failed, "User doesn't exist: nobody@system.test") {
		t.Errorf("Failed: %s", failed)
	}
	if !strings.HasPrefix(delivered, "<bob@system.test> ") || !strings.Contains(delivered, "Saved") {
		t.Errorf("Delivered: %s", delivered)
	}
	expect(t, maildir, 20*time.Second, text)

	daemon.stop()
	s.rules(append(rules, "smapd: bounce yes", "smapd: bounce-agent sendmail "+reports.program)...)
	start(t, program(t, "smapd"), "-c", s.table)
	second := message(fromAddress, "bob@system.test", "reported")
	feeder.commit("reported", fromAddress, second, "nobody@system.test", "bob@system.test")
	report := reports.wait(1, 20*time.Second)[0]
	if report.sender() != "<>" || strings.Join(report.recipients(), " ") != fromAddress {
		t.Errorf("the report came as %q", report.args)
	}
	for _, want := range []string{"multipart/report", "message/delivery-status", "Action: failed", "rfc822; nobody@system.test", "Status: 5.1.1",
		"User doesn't exist: nobody@system.test", "Subject: reported"} {
		if !strings.Contains(report.content, want) {
			t.Errorf("the report does not say %q:\n%s", want, report.content)
		}
	}
	if strings.Contains(report.content, "bob@system.test>: ") || strings.Contains(report.content, "rfc822; bob@system.test") {
		t.Errorf("the report tells of bob, who has got it:\n%s", report.content)
	}
	expect(t, maildir, 20*time.Second, text, second)
	s.drained(10 * time.Second)
	if n := s.count("bad"); n != 2 {
		t.Errorf("bad/ holds %d files, want the two of the first message", n)
	}
}
