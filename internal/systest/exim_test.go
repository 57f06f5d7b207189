//go:build system

package systest

import (
	"strings"
	"testing"
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
func sendExim(t *testing.T, p *peer) {
	r := newRoot(t, p.site, "exim4-daemon-light")
	uid, gid := r.account("Debian-exim")
	for _, dir := range []string{"var/spool/exim4", "var/log/exim4"} {
		p.mkdir(r.path(dir), 0o750, uid, gid)
	}
	p.write(r.path("etc/ca.pem"), readFile(t, p.ca), 0o644)
	both(func(secure bool, transport string) {
		p.write(r.path("etc/exim4/exim4.conf"),
			strings.NewReplacer("TRANSPORT", transport, "PORT", p.portName()).Replace(eximConf), 0o644)
		to := []string{"exim-" + transport + "@system.test", "exim-" + transport + "-2@system.test"}
		text := message(fromAddress, to[0], transport)
		r.run(text, "/usr/sbin/exim4", append([]string{"-odf", "-i", "-f", fromAddress}, to...)...)
		p.check(t, secure, text, to...)
	})
	log := readFile(t, r.path("var/log/exim4/mainlog"))
	// K tells of BDAT, for each recipient.
	if n := strings.Count(log, " L K C="); n != 2 || strings.Contains(log, "non-properly terminated") {
		t.Errorf("Exim does not tell of one message with BDAT and a proper end of TLS:\n%s", log)
	}
}
