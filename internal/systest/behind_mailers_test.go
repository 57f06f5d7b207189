//go:build system

package systest

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestBehind follows the pages of contrib/install: a letter from the network ends with the right sender in a mailbox of
// the mail server behind, by each way that the page offers, and smapd is confined as its unit for systemd says.
func TestBehind(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(*testing.T, *site){
		"postfix": behindPostfix, "exim": behindExim, "opensmtpd": behindOpenSMTPD, "sendmail": behindSendmail,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, newSite(t))
		})
	}
}

// ways delivers by SMTP and by the sendmail program.
func (b *behind) ways(t *testing.T, smtp, sendmail string, mailbox func() []string) {
	t.Helper()
	b.listen()
	t.Run("smtp", func(t *testing.T) { b.deliver(t, "by-smtp", smtp, mailbox) })
	t.Run("sendmail", func(t *testing.T) { b.deliver(t, "by-sendmail", sendmail, mailbox) })
}

func behindPostfix(t *testing.T, s *site) {
	b := newBehind(t, s, "postfix.md", nil)
	bob := newPerson(t, s.dir, "smt-behind")
	p := startPostfix(t, s, "mydestination = "+theirs+"\nauthorized_submit_users = "+smapdUser+
		"\nvirtual_alias_maps = inline:{bob@"+theirs+"="+bob.name+"@"+theirs+"}", b.block("smtpd_authorized_xclient_hosts"))
	listening(t, b.mta)
	program := strings.ReplaceAll(b.rule("smapd: agent sendmail"), "/usr/sbin/sendmail", "/usr/sbin/sendmail -C "+p.conf)
	b.ways(t, b.rule("smapd: agent smtp"), program, maildir(t, filepath.Join(bob.home, "Maildir")))
	// XCLIENT told who the client is.
	if len(p.lines("behind-smap", " client=", "["+client+"]")) != 1 {
		t.Errorf("Postfix's log does not have the client once:\n%s", readFile(t, p.log))
	}
}

// What Debian's questions write for a site on the Internet.
const eximAnswers = `dc_eximconfig_configtype='internet'
dc_readhost=''
dc_relay_domains=''
dc_minimaldns='false'
dc_relay_nets=''
dc_smarthost=''
CFILEMODE='644'
dc_use_split_config='true'
dc_hide_mailname=''
dc_mailname_in_oh='true'
dc_localdelivery='maildir_home'
`

func behindExim(t *testing.T, s *site) {
	r := newRoot(t, s, "exim4-daemon-light", "dash", "coreutils", "sed", "grep", "util-linux")
	uid, gid := r.account("Debian-exim")
	r.account("uucp")
	r.account("mail")
	for _, dir := range []string{"var/spool/exim4", "var/log/exim4"} {
		s.mkdir(r.path(dir), 0o750, uid, gid)
	}
	b := newBehind(t, s, "exim.md", r)
	home := r.bob(s)
	s.write(r.path("etc/aliases"), "mailer-daemon: postmaster\n", 0o644)
	s.write(r.path("etc/mailname"), "mx."+theirs+"\n", 0o644)
	s.write(r.path("etc/exim4/update-exim4.conf.conf"), eximAnswers+b.block("dc_local_interfaces"), 0o644)
	s.write(r.path("etc/exim4/conf.d/main/00_local"), b.block("MAIN_TRUSTED_USERS"), 0o644)
	r.run("", "/usr/sbin/update-exim4.conf")
	startCommand(t, r.command("/usr/sbin/exim4", "-bdf", "-q30m"))
	listening(t, b.mta)
	b.ways(t, b.rule("smapd: agent smtp"), b.rule("smapd: agent sendmail"), maildir(t, home+"/Maildir"))
}

func behindOpenSMTPD(t *testing.T, s *site) {
	r := newRoot(t, s, "opensmtpd", "dash")
	r.account("opensmtpd")
	_, gid := r.account("opensmtpq")
	r.own("usr/sbin/smtpctl", 0, gid, 0o755|os.ModeSetgid) // sendmail is a link to it
	s.mkdir(r.path("var/lib/opensmtpd/empty"), 0o755, 0, 0)
	b := newBehind(t, s, "opensmtpd.md", r)
	home := r.bob(s)
	listen := strings.ReplaceAll(b.block("listen on lo0"), "lo0", "lo")
	s.write(r.path("etc/smtpd.conf"), listen+b.block("match from local"), 0o644)
	startCommand(t, r.command("/usr/sbin/smtpd", "-d"))
	listening(t, b.mta)
	b.ways(t, b.rule("smapd: agent smtp"), b.rule("smapd: agent sendmail"), maildir(t, home+"/Maildir"))
}

// What Debian's sendmail.mc has, as far as a mail server without DNS needs it.
const (
	sendmailBefore = "include(`/usr/share/sendmail/cf/m4/cf.m4')\nOSTYPE(`linux')dnl\n" +
		"define(`confSERVICE_SWITCH_FILE', `/etc/mail/service.switch')dnl\n"
	sendmailAfter = "FEATURE(`no_default_msa')dnl\nFEATURE(`nocanonify')dnl\nFEATURE(`accept_unresolvable_domains')dnl\n" +
		"undefine(`ALIAS_FILE')dnl\n" +
		"MAILER(`local')dnl\nMAILER(`smtp')dnl\n"
)

func behindSendmail(t *testing.T, s *site) {
	r := newRoot(t, s, "sendmail-bin", "sendmail-cf", "m4", "dash", "coreutils", "sed")
	_, gid := r.account("smmsp")
	r.account("smmta")
	r.account("mail")
	b := newBehind(t, s, "sendmail.md", r)
	home := r.bob(s)
	s.write(home+"/.forward", "/home/bob/mbox\n", 0o644)
	for _, dir := range []string{"var/spool/mqueue", "run/sendmail"} {
		s.mkdir(r.path(dir), 0o755, 0, 0)
	}
	s.mkdir(r.path("var/spool/mqueue-client"), 0o770, 0, gid)
	for name, text := range map[string]string{
		"service.switch": "hosts files\naliases files\n", "local-host-names": theirs + "\n",
		"sendmail.mc": sendmailBefore + b.block("DAEMON_OPTIONS") + sendmailAfter,
		"submit.mc":   sendmailBefore + "define(`MSP_QUEUE_DIR', `/var/spool/mqueue-client')dnl\n" + b.block("FEATURE(`msp'"),
	} {
		s.write(r.path("etc/mail", name), text, 0o644)
	}
	for _, name := range []string{"sendmail", "submit"} {
		s.write(r.path("etc/mail", name+".cf"), r.run("", "/usr/bin/m4", "/etc/mail/"+name+".mc"), 0o644)
	}
	r.own("usr/libexec/sendmail/sendmail", 0, gid, 0o755|os.ModeSetgid)
	if err := os.Symlink("/usr/libexec/sendmail/sendmail", r.path("usr/sbin/sendmail")); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	startCommand(t, r.command("/usr/sbin/sendmail", "-bD", "-q30m"))
	listening(t, b.mta)
	b.ways(t, b.rule("smapd: agent smtp"), b.rule("smapd: agent sendmail"), func() []string { return mbox(t, home+"/mbox") })
}

// mbox are the letters of a mailbox that is one file, which need not be there yet.
func mbox(t *testing.T, path string) []string {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	var all []string
	for raw := range strings.SplitSeq("\n"+string(text)+"From \n", "\nFrom ") {
		if _, raw, _ := strings.Cut(raw, "\n"); raw != "" {
			all = append(all, strings.ReplaceAll(raw, "\n>From ", "\nFrom "))
		}
	}
	return all
}

// TestLoop has a Postfix that does not know the domain send its mail to where its MX points, which is smap: the mail comes
// round until smap has counted enough, and then is over.
func TestLoop(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	b := newBehind(t, s, "postfix.md", nil)
	// Postfix by itself would have enough of it earlier.
	p := startPostfix(t, s, "mydestination =\nhopcount_limit = 1000\nrelayhost = [127.0.0.1]:"+itoa(b.smap), "")
	smap := b.listen()
	b.hand(p.sendmail())
	to := "bob@" + theirs
	begin := time.Now()
	b.send(t, message(fromAddress, to, "loop"), to)
	if !eventually(20*time.Second, func() bool { return len(linesWith(smap.log(), "loop")) > 0 }) {
		t.Fatalf("smap's log does not tell of a loop; it accepted %d times", len(linesWith(smap.log(), " message client=")))
	}
	laps := len(linesWith(smap.log(), " message client="))
	t.Logf("%d times round in %v: %s", laps, time.Since(begin).Round(time.Millisecond), linesWith(smap.log(), "loop")[0])
	if laps < 20 || laps > 100 {
		t.Errorf("it went round %d times", laps)
	}
	b.empty()
	if again := len(linesWith(smap.log(), " message client=")); again != laps {
		t.Errorf("then it went round again, %d times", again-laps)
	}
	if !eventually(5*time.Second, func() bool { return len(p.lines("5.4.6", "status=bounced")) > 0 }) {
		t.Errorf("Postfix does not say that it was refused:\n%s", tail(readFile(t, p.log), 3000))
	}
}
