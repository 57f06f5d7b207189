//go:build system

package interop

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
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
func startDovecot(t *testing.T, s *kit.Site) (sockets, maildir string) {
	t.Helper()
	r := kit.NewRoot(t, s, "dovecot-lmtpd")
	r.Account("dovecot")
	r.Account("dovenull")
	uid, gid := r.Account("bob")
	s.Mkdir(r.Path("var/mail/bob"), 0o700, uid, gid)
	s.Write(r.Path("etc/dovecot/dovecot.conf"), dovecotConf, 0o644)
	s.Write(r.Path("etc/dovecot/users"), strings.ReplaceAll("bob@system.test:{PLAIN}secret:ID:ID::/var/mail/bob\n", "ID", itoa(uid)), 0o644)
	s.Mkdir(r.Path("run/dovecot"), 0o755, 0, 0)
	server := kit.StartCommand(t, r.Command("/usr/sbin/dovecot", "-F"))
	lmtp := r.Path("run/lmtp")
	if !kit.Eventually(20*time.Second, func() bool { found, _ := filepath.Glob(lmtp); return len(found) == 1 }) {
		t.Fatalf("Dovecot does not start: %s", server.Log())
	}
	return r.Path("run"), r.Path("var/mail/bob/Maildir")
}

// TestDovecot has Dovecot's LMTP server take one of two recipients. That one gets the message once; the other is set
// aside with Dovecot's words, or, with reports, the sender is told.
func TestDovecot(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	sockets, maildir := startDovecot(t, s)
	reports := kit.NewRecorder(t, s)
	rules := []string{"smapd: log stderr", "smapd: badadmin none", "smapd: retry 1", "smapd: agent lmtp " + sockets + "/lmtp"}
	s.Rules(rules...)
	daemon := kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	feeder := kit.OwnFeeder(t, s.Spool)
	text := kit.Message(kit.FromAddress, "bob@system.test", "aside")
	feeder.Commit("aside", kit.FromAddress, text, "bob@system.test", "nobody@system.test")
	if !kit.Eventually(20*time.Second, func() bool { return s.Field("bad", "aside", "Set-Aside") != "" }) {
		t.Error("the message was not set aside")
	}
	failed, delivered := s.Field("bad", "aside", "Failed"), s.Field("bad", "aside", "Delivered")
	if !strings.HasPrefix(failed, "<nobody@system.test> ") || !strings.Contains(failed, "550 5.1.1") ||
		!strings.Contains(failed, "User doesn't exist: nobody@system.test") {
		t.Errorf("Failed: %s", failed)
	}
	if !strings.HasPrefix(delivered, "<bob@system.test> ") || !strings.Contains(delivered, "Saved") {
		t.Errorf("Delivered: %s", delivered)
	}
	kit.Expect(t, maildir, 20*time.Second, text)

	daemon.Stop()
	s.Rules(append(rules, "smapd: bounce yes", "smapd: bounce-agent sendmail "+reports.Program)...)
	kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)
	second := kit.Message(kit.FromAddress, "bob@system.test", "reported")
	feeder.Commit("reported", kit.FromAddress, second, "nobody@system.test", "bob@system.test")
	report := reports.Wait(1, 20*time.Second)[0]
	if report.Sender() != "<>" || strings.Join(report.Recipients(), " ") != kit.FromAddress {
		t.Errorf("the report came as %q", report.Args)
	}
	for _, want := range []string{"multipart/report", "message/delivery-status", "Action: failed", "rfc822; nobody@system.test", "Status: 5.1.1",
		"User doesn't exist: nobody@system.test", "Subject: reported"} {
		if !strings.Contains(report.Content, want) {
			t.Errorf("the report does not say %q:\n%s", want, report.Content)
		}
	}
	if strings.Contains(report.Content, "bob@system.test>: ") || strings.Contains(report.Content, "rfc822; bob@system.test") {
		t.Errorf("the report tells of bob, who has got it:\n%s", report.Content)
	}
	kit.Expect(t, maildir, 20*time.Second, text, second)
	s.Drained(10 * time.Second)
	if n := s.Count("bad"); n != 2 {
		t.Errorf("bad/ holds %d files, want the two of the first message", n)
	}
}
