//go:build system

package interop

import (
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestProxy: with the PROXY protocol, Exim and OpenSMTPD behind smapd see the client that the mail came from, in their
// logs and so in their checks of strangers.
func TestProxy(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]func(*testing.T, *kit.Site){"exim": proxyExim, "opensmtpd": proxyOpenSMTPD} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, kit.NewSite(t))
		})
	}
}

// proxied sends a letter through smap and smapd, and waits until the mail server's log has the client.
func (b *behind) proxied(t *testing.T, log func() string, want string) {
	t.Helper()
	b.listen()
	smapd := b.hand(b.rule("smapd: agent smtp 127.0.0.1:" + itoa(b.mta) + " tls none proxy"))
	defer smapd.Stop()
	b.send(t, kit.Message(kit.FromAddress, "bob@"+theirs, "proxied"), "bob@"+theirs)
	if !kit.Eventually(20*time.Second, func() bool { return strings.Contains(log(), want) }) {
		t.Fatalf("no %q in the server's log:\n%s\nsmapd says\n%s", want, log(), smapd.Log())
	}
	kit.Eventually(20*time.Second, func() bool { return strings.Contains(smapd.Log(), "finished") })
	b.Empty()
}

// What Exim needs to take mail for anybody from anybody, beside what the page has.
const proxyEximConf = `primary_hostname = mx.example.com
exim_user = mail
exim_group = mail
never_users =
spool_directory = /queue
log_file_path = /queue/%slog
keep_environment =
local_interfaces = 127.0.0.1
queue_only
rfc1413_query_timeout = 0s
host_lookup =
tls_advertise_hosts =
acl_smtp_rcpt = rcpt
acl_smtp_data = data
begin acl
rcpt:
  accept
data:
  accept
begin routers
begin transports
`

func proxyExim(t *testing.T, s *kit.Site) {
	r := kit.NewRoot(t, s, "exim4-daemon-heavy", "dash", "coreutils")
	r.Account("Debian-exim")
	mail, group := r.Account("mail")
	s.Mkdir(r.Path("queue"), 0o755, mail, group)
	b := newBehind(t, s, "exim.md", r)
	s.Write(r.Path("etc/exim4/exim4.conf"), b.block("hosts_proxy")+"daemon_smtp_ports = "+itoa(b.mta)+"\n"+proxyEximConf, 0o644)
	kit.StartCommand(t, r.Command("/usr/sbin/exim4", "-bdf"))
	kit.Listening(t, b.mta)
	b.proxied(t, func() string { return kit.ReadFile(t, r.Path("queue/mainlog")) }, "["+client+"]")
}

func proxyOpenSMTPD(t *testing.T, s *kit.Site) {
	r := kit.NewRoot(t, s, "opensmtpd", "dash")
	r.Account("opensmtpd")
	r.Account("opensmtpq")
	s.Mkdir(r.Path("var/lib/opensmtpd/empty"), 0o755, 0, 0)
	b := newBehind(t, s, "opensmtpd.md", r)
	bob(r, s)
	listen := strings.ReplaceAll(b.block("proxy-v2"), "lo0", "lo")
	s.Write(r.Path("etc/smtpd.conf"), listen+"action \"local\" maildir\nmatch from any for domain \""+theirs+"\" action \"local\"\n", 0o644)
	p := kit.StartCommand(t, r.Command("/usr/sbin/smtpd", "-d"))
	kit.Listening(t, b.mta)
	b.proxied(t, p.Log, "address="+client)
}
