//go:build system

package interop

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestBehind follows the pages of contrib/install: a letter from the network ends with the right sender in a mailbox of
// the mail server behind, by each way that the page offers, and smapd is confined as its unit for systemd says.
func TestBehind(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(*testing.T, *kit.Site){
		"postfix": behindPostfix, "exim": behindExim, "opensmtpd": behindOpenSMTPD, "sendmail": behindSendmail,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, kit.NewSite(t))
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

func behindPostfix(t *testing.T, s *kit.Site) {
	b := newBehind(t, s, "postfix.md", nil)
	bob := kit.NewPerson(t, s.Dir, "smt-behind")
	p := kit.StartPostfix(t, s, "mydestination = "+theirs+"\nauthorized_submit_users = "+kit.SmapdUser+
		"\nvirtual_alias_maps = inline:{bob@"+theirs+"="+bob.Name+"@"+theirs+"}", b.block("smtpd_authorized_xclient_hosts"))
	kit.Listening(t, b.mta)
	program := strings.ReplaceAll(b.rule("smapd: agent sendmail"), "/usr/sbin/sendmail", "/usr/sbin/sendmail -C "+p.Conf)
	b.ways(t, b.rule("smapd: agent smtp"), program, maildir(t, filepath.Join(bob.Home, "Maildir")))
	// XCLIENT told who the client is.
	if len(p.Lines("behind-smap", " client=", "["+client+"]")) != 1 {
		t.Errorf("Postfix's log does not have the client once:\n%s", kit.ReadFile(t, p.Log))
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

func behindExim(t *testing.T, s *kit.Site) {
	r := kit.NewRoot(t, s, "exim4-daemon-light", "dash", "coreutils", "sed", "grep", "util-linux")
	uid, gid := r.Account("Debian-exim")
	r.Account("uucp")
	r.Account("mail")
	for _, dir := range []string{"var/spool/exim4", "var/log/exim4"} {
		s.Mkdir(r.Path(dir), 0o750, uid, gid)
	}
	b := newBehind(t, s, "exim.md", r)
	home := bob(r, s)
	s.Write(r.Path("etc/aliases"), "mailer-daemon: postmaster\n", 0o644)
	s.Write(r.Path("etc/mailname"), "mx."+theirs+"\n", 0o644)
	s.Write(r.Path("etc/exim4/update-exim4.conf.conf"), eximAnswers+b.block("dc_local_interfaces"), 0o644)
	s.Write(r.Path("etc/exim4/conf.d/main/00_local"), b.block("MAIN_TRUSTED_USERS"), 0o644)
	r.Run("", "/usr/sbin/update-exim4.conf")
	kit.StartCommand(t, r.Command("/usr/sbin/exim4", "-bdf", "-q30m"))
	kit.Listening(t, b.mta)
	b.ways(t, b.rule("smapd: agent smtp"), b.rule("smapd: agent sendmail"), maildir(t, home+"/Maildir"))
}

func behindOpenSMTPD(t *testing.T, s *kit.Site) {
	r := kit.NewRoot(t, s, "opensmtpd", "dash")
	r.Account("opensmtpd")
	_, gid := r.Account("opensmtpq")
	r.Own("usr/sbin/smtpctl", 0, gid, 0o755|os.ModeSetgid) // sendmail is a link to it
	s.Mkdir(r.Path("var/lib/opensmtpd/empty"), 0o755, 0, 0)
	b := newBehind(t, s, "opensmtpd.md", r)
	home := bob(r, s)
	listen := strings.ReplaceAll(b.block("listen on lo0"), "lo0", "lo")
	s.Write(r.Path("etc/smtpd.conf"), listen+b.block("match from local"), 0o644)
	kit.StartCommand(t, r.Command("/usr/sbin/smtpd", "-d"))
	kit.Listening(t, b.mta)
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

func behindSendmail(t *testing.T, s *kit.Site) {
	r := kit.NewRoot(t, s, "sendmail-bin", "sendmail-cf", "m4", "dash", "coreutils", "sed")
	_, gid := r.Account("smmsp")
	r.Account("smmta")
	r.Account("mail")
	b := newBehind(t, s, "sendmail.md", r)
	home := bob(r, s)
	s.Write(home+"/.forward", "/home/bob/mbox\n", 0o644)
	for _, dir := range []string{"var/spool/mqueue", "run/sendmail"} {
		s.Mkdir(r.Path(dir), 0o755, 0, 0)
	}
	s.Mkdir(r.Path("var/spool/mqueue-client"), 0o770, 0, gid)
	for name, text := range map[string]string{
		"service.switch": "hosts files\naliases files\n", "local-host-names": theirs + "\n",
		"sendmail.mc": sendmailBefore + b.block("DAEMON_OPTIONS") + sendmailAfter,
		"submit.mc":   sendmailBefore + "define(`MSP_QUEUE_DIR', `/var/spool/mqueue-client')dnl\n" + b.block("FEATURE(`msp'"),
	} {
		s.Write(r.Path("etc/mail", name), text, 0o644)
	}
	for _, name := range []string{"sendmail", "submit"} {
		s.Write(r.Path("etc/mail", name+".cf"), r.Run("", "/usr/bin/m4", "/etc/mail/"+name+".mc"), 0o644)
	}
	r.Own("usr/libexec/sendmail/sendmail", 0, gid, 0o755|os.ModeSetgid)
	if err := os.Symlink("/usr/libexec/sendmail/sendmail", r.Path("usr/sbin/sendmail")); err != nil && !errors.Is(err, os.ErrExist) {
		t.Fatal(err)
	}
	kit.StartCommand(t, r.Command("/usr/sbin/sendmail", "-bD", "-q30m"))
	kit.Listening(t, b.mta)
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
	s := kit.NewSite(t)
	b := newBehind(t, s, "postfix.md", nil)
	// Postfix by itself would have enough of it earlier.
	p := kit.StartPostfix(t, s, "mydestination =\nhopcount_limit = 1000\nrelayhost = [127.0.0.1]:"+itoa(b.smap), "")
	smap := b.listen()
	b.hand(p.Sendmail())
	to := "bob@" + theirs
	begin := time.Now()
	b.send(t, kit.Message(kit.FromAddress, to, "loop"), to)
	if !kit.Eventually(20*time.Second, func() bool { return len(kit.LinesWith(smap.Log(), "loop")) > 0 }) {
		t.Fatalf("smap's log does not tell of a loop; it accepted %d times", len(kit.LinesWith(smap.Log(), " message client=")))
	}
	laps := len(kit.LinesWith(smap.Log(), " message client="))
	t.Logf("%d times round in %v: %s", laps, time.Since(begin).Round(time.Millisecond), kit.LinesWith(smap.Log(), "loop")[0])
	if laps < 20 || laps > 100 {
		t.Errorf("it went round %d times", laps)
	}
	b.Empty()
	if again := len(kit.LinesWith(smap.Log(), " message client=")); again != laps {
		t.Errorf("then it went round again, %d times", again-laps)
	}
	if !kit.Eventually(5*time.Second, func() bool { return len(p.Lines("5.4.6", "status=bounced")) > 0 }) {
		t.Errorf("Postfix does not say that it was refused:\n%s", kit.Tail(kit.ReadFile(t, p.Log), 3000))
	}
}
