//go:build system

package interop

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

const opensmtpdConf = `
action "plain" relay host "smtp+notls://127.0.0.1:PORT" helo "client.test"
action "secure" relay host "smtp+tls://127.0.0.1:PORT" helo "client.test"
match from any for domain "plain.system.test" action "plain"
match from any for domain "secure.system.test" action "secure"
`

// sendOpenSMTPD has OpenSMTPD relay, in plain and with STARTTLS and a certificate that must be right.
func sendOpenSMTPD(t *testing.T, p *kit.Peer) {
	r := kit.NewRoot(t, p.Site, "opensmtpd", "dash")
	r.Account("opensmtpd")
	_, gid := r.Account("opensmtpq")
	smtpctl := r.Path("usr/sbin/smtpctl") // sendmail is a link to it
	if err := errors.Join(os.Chown(smtpctl, 0, gid), os.Chmod(smtpctl, 0o755|os.ModeSetgid)); err != nil {
		t.Fatal(err)
	}
	p.Mkdir(r.Path("var/lib/opensmtpd/empty"), 0o755, 0, 0)
	p.Mkdir(r.Path("etc/ssl/certs"), 0o755, 0, 0)
	p.Write(r.Path("etc/ssl/certs/ca-certificates.crt"), kit.ReadFile(t, p.CA), 0o644)
	p.Write(r.Path("etc/hosts"), "127.0.0.1 mx.system.test localhost\n", 0o644)
	p.Write(r.Path("etc/smtpd.conf"), strings.ReplaceAll(opensmtpdConf, "PORT", p.PortName()), 0o644)
	kit.StartCommand(t, r.Command("/usr/sbin/smtpd", "-d"))
	if !kit.Eventually(15*time.Second, func() bool { _, err := os.Stat(r.Path("run/smtpd.sock")); return err == nil }) {
		t.Fatal("OpenSMTPD opens no socket")
	}
	both(func(secure bool, name string) {
		to := []string{"opensmtpd@" + name + ".system.test", "opensmtpd-2@" + name + ".system.test"}
		text := kit.Message(kit.FromAddress, to[0], name)
		r.Run(text, "/usr/sbin/sendmail", append([]string{"-i", "-f", kit.FromAddress, "--"}, to...)...)
		p.Check(t, secure, text, to...)
	})
}
