//go:build system

package interop

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"

	"golang.org/x/sys/unix"
)

func mailerPostfix(t *testing.T, s *kit.Site, sink *kit.Sink) *mailer {
	p := kit.StartPostfix(t, s, "relayhost = [127.0.0.1]:"+sink.Port()+"\nmydestination =\nsmtp_destination_recipient_limit = 100", "")
	s.Rules("smapd: log stderr", "smapd: badadmin none", "smapd: retry 1 1 2", p.Sendmail())
	return &mailer{name: "postfix", sink: sink, spool: kit.OwnFeeder(t, s.Spool), smapd: kit.Start(t, kit.Program(t, "smapd"), "-c", s.Table)}
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

func mailerExim(t *testing.T, s *kit.Site, sink *kit.Sink) *mailer {
	r := kit.NewRoot(t, s, "exim4-daemon-light")
	uid, gid := r.Account("Debian-exim")
	for _, dir := range []string{"var/spool/exim4", "var/log/exim4"} {
		s.Mkdir(r.Path(dir), 0o750, uid, gid)
	}
	s.Write(r.Path("etc/exim4/exim4.conf"), strings.ReplaceAll(eximRelay, "PORT", sink.Port()), 0o644)
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

func mailerSendmail(t *testing.T, s *kit.Site, sink *kit.Sink) *mailer {
	r := kit.NewRoot(t, s, "sendmail-bin", "sendmail-cf", "m4", "dash", "coreutils", "sed")
	_, gid := r.Account("smmsp")
	r.Account("smmta")
	r.Account("mail")
	s.Mkdir(r.Path("var/spool/mqueue-client"), 0o770, 0, gid)
	s.Write(r.Path("etc/mail/service.switch"), "hosts files\naliases files\n", 0o644)
	s.Write(r.Path("etc/mail/submit.mc"), strings.ReplaceAll(sendmailMC, "PORT", sink.Port()), 0o644)
	s.Write(r.Path("etc/mail/submit.cf"), r.Run("", "/usr/bin/m4", "/etc/mail/submit.mc"), 0o644)
	r.Own("usr/libexec/sendmail/sendmail", 0, gid, 0o755|os.ModeSetgid)
	return newMailer(t, s, r, sink, "sendmail", "smapd: sendmail /usr/libexec/sendmail/sendmail -Ac -odb")
}

func mailerNullmailer(t *testing.T, s *kit.Site, sink *kit.Sink) *mailer {
	r := kit.NewRoot(t, s, "nullmailer")
	uid, gid := r.Account("mail")
	for _, dir := range []string{"", "queue", "tmp", "failed"} {
		s.Mkdir(r.Path("var/spool/nullmailer", dir), 0o700, uid, gid)
	}
	r.Own("usr/sbin/nullmailer-queue", uid, gid, 0o755|os.ModeSetuid)
	if err := unix.Mkfifo(r.Path("var/spool/nullmailer/trigger"), 0o622); err != nil {
		t.Fatal(err)
	}
	r.Own("var/spool/nullmailer/trigger", uid, gid, 0o622)
	s.Write(r.Path("etc/mailname"), "system.test\n", 0o644)
	s.Write(r.Path("etc/nullmailer/remotes"), "127.0.0.1 smtp --port="+sink.Port()+"\n", 0o644)
	kit.StartCommand(t, r.Command("/usr/sbin/nullmailer-send"))
	m := newMailer(t, s, r, sink, "nullmailer", "smapd: sendmail /usr/sbin/sendmail")
	// nullmailer-inject takes the quotes off, and what it then says to a server is no address any more.
	m.recipient = map[string]string{"quoted": "bob c@system.test"}
	return m
}

func mailerDMA(t *testing.T, s *kit.Site, sink *kit.Sink) *mailer {
	r := kit.NewRoot(t, s, "dma")
	_, gid := r.Account("mail")
	s.Mkdir(r.Path("var/spool/dma"), 0o770|os.ModeSetgid, 0, gid)
	r.Own("usr/sbin/dma", 0, gid, 0o755|os.ModeSetgid)
	s.Write(r.Path("etc/mailname"), "mx.client.test\n", 0o644)
	s.Write(r.Path("etc/aliases"), "", 0o644)
	s.Write(r.Path("etc/dma/dma.conf"), "SMARTHOST 127.0.0.1\nPORT "+sink.Port()+"\nMAILNAME mx.client.test\nSPOOLDIR /var/spool/dma\n", 0o644)
	m := newMailer(t, s, r, sink, "dma", "smapd: sendmail /usr/sbin/dma")
	// dma has no way to say the null sender: it adds its name to whatever has no domain, to an empty argument too.
	m.sender = map[string]string{"null": "<<>@mx.client.test>"}
	return m
}

func mailerMsmtp(t *testing.T, s *kit.Site, sink *kit.Sink) *mailer {
	r := kit.NewRoot(t, s, "msmtp", "msmtp-mta")
	s.Write(r.Path("etc/msmtprc"), "account default\nhost 127.0.0.1\nport "+sink.Port()+"\ntls off\nauth off\ndomain mx.system.test\n", 0o644)
	m := newMailer(t, s, r, sink, "msmtp", "smapd: sendmail /usr/sbin/sendmail")
	// msmtp reads its arguments as a header field and drops a quoted string from it.
	m.recipient = map[string]string{"quoted": "@system.test"}
	return m
}

// A mailer is a mail server's sendmail program as smapd's agent. It relays to a sink.
type mailer struct {
	name  string
	spool *kit.Bulk // feeds the smapd that calls it
	sink  *kit.Sink // where everything ends
	smapd *kit.Process
	// What the program makes of an address that it cannot carry, by the letter's name.
	sender, recipient map[string]string
}

// A letter is what every one of them has to carry.
type letter struct {
	name, sender string
	to           []string
	content      string
}

func letters() []letter {
	const to = "bob@system.test"
	var many []string
	for i := range 300 {
		many = append(many, fmt.Sprintf("r%03d@system.test", i))
	}
	list := []letter{
		{name: "plain", sender: kit.FromAddress, to: []string{to}},
		{name: "null", sender: "", to: []string{to}},
		{name: "quoted", sender: `"ann b"@client.test`, to: []string{`"bob c"@system.test`}},
		{name: "many", sender: kit.FromAddress, to: many},
	}
	for i := range list {
		// Lone dots, 8-bit text, and more that a careless program damages.
		list[i].content = kit.Message(kit.FromAddress, to, list[i].name)
	}
	return list
}

// check feeds the letters and compares what arrives with them, octet for octet past the added fields.
func (m *mailer) check(t *testing.T) {
	t.Helper()
	all := letters()
	for _, l := range all {
		m.spool.Commit(m.name+"-"+l.name, l.sender, l.content, l.to...)
	}
	for _, l := range all {
		t.Run(l.name, func(t *testing.T) { m.arrived(t, l) })
	}
}

func (m *mailer) arrived(t *testing.T, l letter) {
	sender, to := "<"+l.sender+">", slices.Clone(l.to)
	if other, ok := m.sender[l.name]; ok {
		sender = other
	}
	if other, ok := m.recipient[l.name]; ok {
		to = []string{other}
	}
	var got []kit.Sunk
	var rcpt []string
	kit.Eventually(30*time.Second, func() bool {
		got, rcpt = nil, nil
		for _, s := range m.sink.Messages() {
			if strings.Contains(s.Content, "\nSubject: "+l.name+"\n") {
				got = append(got, s)
				rcpt = append(rcpt, s.Rcpt...)
			}
		}
		return len(rcpt) >= len(to)
	})
	for i := range rcpt {
		address, _, _ := strings.Cut(rcpt[i], "> ")
		rcpt[i] = strings.Trim(address, "<>")
	}
	slices.Sort(rcpt)
	slices.Sort(to)
	if !slices.Equal(rcpt, to) {
		t.Errorf("recipients %v, want %v", kit.Head(strings.Join(rcpt, " "), 300), kit.Head(strings.Join(to, " "), 300))
	}
	for _, s := range got {
		address, _, _ := strings.Cut(s.Mail, "> ")
		address = strings.TrimSuffix(address, ">") + ">"
		if address != sender {
			t.Errorf("sender %s, want %s", address, sender)
		}
		if rest := kit.Split(s.Content).Rest; rest != l.content {
			t.Errorf("content\n%q, want\n%q", kit.Head(s.Content, 1500), kit.Head(l.content, 1500))
		}
	}
}

// newMailer starts smapd within a root, as a user of it, with a sendmail program of its own as its agent.
func newMailer(t *testing.T, s *kit.Site, r *kit.Root, sink *kit.Sink, name, agent string) *mailer {
	t.Helper()
	const spool = "/var/spool/smap"
	uid, gid := r.Account("smapd")
	inside := &kit.Site{T: t, Dir: r.Dir, Spool: r.Path(spool)}
	for _, dir := range []string{"", "tmp", "new", "cur", "bad"} {
		s.Mkdir(inside.Path(dir), 0o700, uid, gid)
	}
	binary, err := os.ReadFile(kit.Program(t, "smapd"))
	if err != nil {
		t.Fatal(err)
	}
	s.Write(r.Path("usr/sbin/smapd"), string(binary), 0o755)
	s.Write(r.Path("netperm-table"), strings.Join([]string{"smapd: directory " + spool, "smapd: userid smapd", "smapd: log stderr",
		"smapd: executable /usr/sbin/smapd", "smapd: badadmin none", "smapd: retry 1 1 2", agent}, "\n")+"\n", 0o600)
	return &mailer{
		name: name, sink: sink, spool: &kit.Bulk{T: t, Spool: inside.Spool, Uid: uid, Gid: gid},
		smapd: kit.StartCommand(t, r.Command("/usr/sbin/smapd", "-c", "/netperm-table")),
	}
}
