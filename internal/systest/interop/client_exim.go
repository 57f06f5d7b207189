//go:build system

package interop

import (
	"strings"
	"testing"

	"smap/internal/systest/kit"
)

const eximConf = `
primary_hostname = client.test
keep_environment =
log_selector = +all
log_file_path = /var/log/exim4/%slog
smtputf8_advertise_hosts = *
begin routers
smap:
  driver = manualroute
  route_list = * 127.0.0.1
  self = send
  transport = TRANSPORT
begin transports
plain:
  driver = smtp
  port = PORT
  hosts_avoid_tls = *
  hosts_try_chunking =
secure:
  driver = smtp
  port = PORT
  hosts_require_tls = *
  hosts_try_chunking = *
  tls_verify_certificates = /etc/ca.pem
  tls_verify_hosts = *
`

// sendExim has Exim relay: in plain with DATA, over TLS with BDAT.
func sendExim(t *testing.T, p *kit.Peer) {
	r := kit.NewRoot(t, p.Site, "exim4-daemon-light")
	uid, gid := r.Account("Debian-exim")
	for _, dir := range []string{"var/spool/exim4", "var/log/exim4"} {
		p.Mkdir(r.Path(dir), 0o750, uid, gid)
	}
	p.Write(r.Path("etc/ca.pem"), kit.ReadFile(t, p.CA), 0o644)
	both(func(secure bool, transport string) {
		p.Write(r.Path("etc/exim4/exim4.conf"),
			strings.NewReplacer("TRANSPORT", transport, "PORT", p.PortName()).Replace(eximConf), 0o644)
		to := []string{"exim-" + transport + "@system.test", "exim-" + transport + "-2@system.test"}
		text := kit.Message(kit.FromAddress, to[0], transport)
		r.Run(text, "/usr/sbin/exim4", append([]string{"-odf", "-i", "-f", kit.FromAddress}, to...)...)
		p.Check(t, secure, text, to...)
		eximAfterRefusal(t, p, r, secure, transport)
	})
	log := kit.ReadFile(t, r.Path("var/log/exim4/mainlog"))
	// K tells of BDAT, for each recipient.
	if n := strings.Count(log, " L K C="); n != 3 || strings.Contains(log, "non-properly terminated") {
		t.Errorf("Exim does not tell of two messages with BDAT and a proper end of TLS:\n%s", log)
	}
}

// eximAfterRefusal sends a long message with NUL in its middle, which is refused, and then a good one. Had the first broken
// the connection, Exim would not try this host again for a while.
func eximAfterRefusal(t *testing.T, p *kit.Peer, r *kit.Root, secure bool, transport string) {
	t.Helper()
	half := strings.Repeat("0123456789012345678901234567890123456789012345678901234567890123\n", 5<<20/65)
	bad := "Subject: refused\n\n" + half + "\x00\n" + half
	r.Run(bad, "/usr/sbin/exim4", "-odf", "-i", "-f", "<>", "exim-nul-"+transport+"@system.test")
	to := "exim-after-" + transport + "@system.test"
	text := kit.Message(kit.FromAddress, to, transport)
	r.Run(text, "/usr/sbin/exim4", "-odf", "-i", "-f", kit.FromAddress, to)
	p.Check(t, secure, text, to)
}
