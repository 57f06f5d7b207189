//go:build system

package systest

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"
)

const opensmtpdConf = `
action "plain" relay host "smtp+notls://127.0.0.1:PORT" helo "client.test"
action "secure" relay host "smtp+tls://127.0.0.1:PORT" helo "client.test"
match from any for domain "plain.system.test" action "plain"
match from any for domain "secure.system.test" action "secure"
`

// sendOpenSMTPD has OpenSMTPD relay, in plain and with STARTTLS and a certificate that must be right.
func sendOpenSMTPD(t *testing.T, p *peer) {
	r := newRoot(t, p.site, "opensmtpd", "dash")
	r.account("opensmtpd")
	_, gid := r.account("opensmtpq")
	smtpctl := r.path("usr/sbin/smtpctl") // sendmail is a link to it
	if err := errors.Join(os.Chown(smtpctl, 0, gid), os.Chmod(smtpctl, 0o755|os.ModeSetgid)); err != nil {
		t.Fatal(err)
	}
	p.mkdir(r.path("var/lib/opensmtpd/empty"), 0o755, 0, 0)
	p.mkdir(r.path("etc/ssl/certs"), 0o755, 0, 0)
	p.write(r.path("etc/ssl/certs/ca-certificates.crt"), readFile(t, p.ca), 0o644)
	p.write(r.path("etc/hosts"), "127.0.0.1 mx.system.test localhost\n", 0o644)
	p.write(r.path("etc/smtpd.conf"), strings.ReplaceAll(opensmtpdConf, "PORT", p.portName()), 0o644)
	startCommand(t, r.command("/usr/sbin/smtpd", "-d"))
	if !eventually(15*time.Second, func() bool { _, err := os.Stat(r.path("run/smtpd.sock")); return err == nil }) {
		t.Fatal("OpenSMTPD opens no socket")
	}
	both(func(secure bool, name string) {
		to := []string{"opensmtpd@" + name + ".system.test", "opensmtpd-2@" + name + ".system.test"}
		text := message(fromAddress, to[0], name)
		r.run(text, "/usr/sbin/sendmail", append([]string{"-i", "-f", fromAddress, "--"}, to...)...)
		p.check(t, secure, text, to...)
	})
}
