//go:build system

package systest

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// own gives a file of the root to an account of the root, which the package would have done when it was installed.
func (r *root) own(name string, uid, gid int, mode os.FileMode) {
	r.t.Helper()
	if err := errors.Join(os.Chown(r.path(name), uid, gid), os.Chmod(r.path(name), mode)); err != nil {
		r.t.Fatal(err)
	}
}

func mailerPostfix(t *testing.T, s *site, sink *sink) *mailer {
	p := startPostfix(t, s, "relayhost = [127.0.0.1]:"+sink.port()+"\nmydestination =\nsmtp_destination_recipient_limit = 100", "")
	s.rules("smapd: log stderr", "smapd: badadmin none", "smapd: retry 1 1 2", p.sendmail())
	return &mailer{name: "postfix", sink: sink, spool: ownFeeder(t, s.spool), smapd: start(t, program(t, "smapd"), "-c", s.table)}
}

// To Exim, smapd has to be a trusted user: from others it takes no -f.
const eximRelay = `
primary_hostname = mx.system.test
trusted_users = smapd
keep_environment =
log_file_path = /var/log/exim4/%slog
begin routers
sink:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = sink
begin transports
sink:
  driver = smtp
  port = PORT
  hosts_avoid_tls = *
`

func mailerExim(t *testing.T, s *site, sink *sink) *mailer {
	r := newRoot(t, s, "exim4-daemon-light")
	uid, gid := r.account("Debian-exim")
	for _, dir := range []string{"var/spool/exim4", "var/log/exim4"} {
		s.mkdir(r.path(dir), 0o750, uid, gid)
	}
	s.write(r.path("etc/exim4/exim4.conf"), strings.ReplaceAll(eximRelay, "PORT", sink.port()), 0o644)
	return newMailer(t, s, r, sink, "exim", "smapd: sendmail /usr/sbin/exim4 -odb")
}

// The T class of trusted users: from others sendmail takes -f, but says so in a header field.
const sendmailMC = "include(`/usr/share/sendmail/cf/m4/cf.m4')\n" +
	"OSTYPE(`linux')dnl\n" +
	"define(`confTRUSTED_USERS', `smapd')dnl\n" +
	"define(`MSP_QUEUE_DIR', `/var/spool/mqueue-client')dnl\n" +
	"define(`confDONT_PROBE_INTERFACES', `True')dnl\n" +
	"define(`confSERVICE_SWITCH_FILE', `/etc/mail/service.switch')dnl\n" + // there is no DNS
	"FEATURE(`nocanonify')dnl\n" +
	"define(`RELAY_MAILER_ARGS', `TCP $h PORT')dnl\n" +
	"FEATURE(`msp', `[127.0.0.1]')dnl\n"

func mailerSendmail(t *testing.T, s *site, sink *sink) *mailer {
	r := newRoot(t, s, "sendmail-bin", "sendmail-cf", "m4", "dash", "coreutils", "sed")
	_, gid := r.account("smmsp")
	r.account("smmta")
	r.account("mail")
	s.mkdir(r.path("var/spool/mqueue-client"), 0o770, 0, gid)
	s.write(r.path("etc/mail/service.switch"), "hosts files\naliases files\n", 0o644)
	s.write(r.path("etc/mail/submit.mc"), strings.ReplaceAll(sendmailMC, "PORT", sink.port()), 0o644)
	s.write(r.path("etc/mail/submit.cf"), r.run("", "/usr/bin/m4", "/etc/mail/submit.mc"), 0o644)
	r.own("usr/libexec/sendmail/sendmail", 0, gid, 0o755|os.ModeSetgid)
	return newMailer(t, s, r, sink, "sendmail", "smapd: sendmail /usr/libexec/sendmail/sendmail -Ac -odb")
}

func mailerNullmailer(t *testing.T, s *site, sink *sink) *mailer {
	r := newRoot(t, s, "nullmailer")
	uid, gid := r.account("mail")
	for _, dir := range []string{"", "queue", "tmp", "failed"} {
		s.mkdir(r.path("var/spool/nullmailer", dir), 0o700, uid, gid)
	}
	r.own("usr/sbin/nullmailer-queue", uid, gid, 0o755|os.ModeSetuid)
	if err := unix.Mkfifo(r.path("var/spool/nullmailer/trigger"), 0o622); err != nil {
		t.Fatal(err)
	}
	r.own("var/spool/nullmailer/trigger", uid, gid, 0o622)
	s.write(r.path("etc/mailname"), "system.test\n", 0o644)
	s.write(r.path("etc/nullmailer/remotes"), "127.0.0.1 smtp --port="+sink.port()+"\n", 0o644)
	startCommand(t, r.command("/usr/sbin/nullmailer-send"))
	m := newMailer(t, s, r, sink, "nullmailer", "smapd: sendmail /usr/sbin/sendmail")
	// nullmailer-inject takes the quotes off, and what it then says to a server is no address any more.
	m.recipient = map[string]string{"quoted": "bob c@system.test"}
	return m
}

func mailerDMA(t *testing.T, s *site, sink *sink) *mailer {
	r := newRoot(t, s, "dma")
	_, gid := r.account("mail")
	s.mkdir(r.path("var/spool/dma"), 0o770|os.ModeSetgid, 0, gid)
	r.own("usr/sbin/dma", 0, gid, 0o755|os.ModeSetgid)
	s.write(r.path("etc/mailname"), "mx.client.test\n", 0o644)
	s.write(r.path("etc/aliases"), "", 0o644)
	s.write(r.path("etc/dma/dma.conf"), "SMARTHOST 127.0.0.1\nPORT "+sink.port()+"\nMAILNAME mx.client.test\nSPOOLDIR /var/spool/dma\n", 0o644)
	m := newMailer(t, s, r, sink, "dma", "smapd: sendmail /usr/sbin/dma")
	// dma has no way to say the null sender: it adds its name to whatever has no domain, to an empty argument too.
	m.sender = map[string]string{"null": "<<>@mx.client.test>"}
	return m
}

func mailerMsmtp(t *testing.T, s *site, sink *sink) *mailer {
	r := newRoot(t, s, "msmtp", "msmtp-mta")
	s.write(r.path("etc/msmtprc"), "account default\nhost 127.0.0.1\nport "+sink.port()+"\ntls off\nauth off\ndomain mx.system.test\n", 0o644)
	m := newMailer(t, s, r, sink, "msmtp", "smapd: sendmail /usr/sbin/sendmail")
	// msmtp reads its arguments as a header field and drops a quoted string from it.
	m.recipient = map[string]string{"quoted": "@system.test"}
	return m
}
