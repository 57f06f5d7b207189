//go:build system

package interop

import (
	"fmt"
	"strings"
	"testing"

	"smap/internal/systest/kit"
)

// TestClients has everybody's SMTP clients send to smap, with STARTTLS and without. Each sends to recipients of its own.
func TestClients(t *testing.T) {
	t.Parallel()
	p := kit.NewPeer(t, "smap: offer dsn smtputf8")
	tools := kit.NewRoot(t, p.Site, "swaks", "libnet-ssleay-perl", "s-nail", "msmtp", "dash")
	p.Write(tools.Path("etc/ca.pem"), kit.ReadFile(t, p.CA), 0o644)
	p.Write(tools.Path("etc/hosts"), "127.0.0.1 mx.system.test\n", 0o644)
	with := func(send func(*testing.T, *kit.Peer, *kit.Root)) func(*testing.T, *kit.Peer) {
		return func(t *testing.T, p *kit.Peer) { send(t, p, tools.In(t)) }
	}
	for name, send := range map[string]func(*testing.T, *kit.Peer){
		"exim":      sendExim,
		"opensmtpd": sendOpenSMTPD,
		"postfix":   sendPostfix,
		"curl":      clientCurl,
		"smtplib":   clientSmtplib,
		"swaks":     with(clientSwaks),
		"msmtp":     with(clientMsmtp),
		"s-nail":    with(clientNail),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			send(t, p.In(t))
		})
	}
}

func clientCurl(t *testing.T, p *kit.Peer) {
	both(func(secure bool, name string) {
		to := "curl-" + name + "@system.test"
		text := kit.Message(kit.FromAddress, to, name)
		args := []string{"-sS", "--url", fmt.Sprintf("smtp://127.0.0.1:%d/client.test", p.Port), "--mail-from", kit.FromAddress,
			"--mail-rcpt", to, "--upload-file", p.Write(p.File("curl-"+name), kit.CRLF(text), 0o644)}
		if secure {
			args = append(args, "--ssl-reqd", "--cacert", p.CA)
		}
		kit.Run(t, "curl", args...)
		p.Check(t, secure, text, to)
	})
}

func clientMsmtp(t *testing.T, p *kit.Peer, tools *kit.Root) {
	both(func(secure bool, name string) {
		to := []string{"msmtp-" + name + "@system.test", "msmtp-" + name + "-2@system.test"}
		text := kit.Message(kit.FromAddress, to[0], name)
		args := []string{"--host=127.0.0.1", fmt.Sprintf("--port=%d", p.Port), "--domain=client.test", "--from=" + kit.FromAddress, "--tls=off"}
		if secure {
			args = append(args, "--tls=on", "--tls-starttls=on", "--tls-trust-file=/etc/ca.pem", "--tls-certcheck=on")
		}
		tools.Run(text, "/usr/bin/msmtp", append(append(args, "--"), to...)...)
		p.Check(t, secure, text, to...)
	})
}

// clientNail: s-nail writes the header itself, so that only the body is compared. Without AUTH it says
// HELO AUTH.
func clientNail(t *testing.T, p *kit.Peer, tools *kit.Root) {
	both(func(secure bool, name string) {
		to := "s-nail-" + name + "@system.test"
		_, body, _ := strings.Cut(kit.Message(kit.FromAddress, to, name), "\n\n")
		args := []string{"-:/", "-S", "v15-compat=yes", "-S", "mta=smtp://mx.system.test:" + p.PortName(), "-S", "smtp-auth=none",
			"-S", "hostname=client.test", "-S", "ttycharset=utf-8", "-S", "mime-encoding=8bit", "-r", kit.FromAddress, "-s", name}
		if secure {
			args = append(args, "-S", "smtp-use-starttls", "-S", "tls-verify=strict", "-S", "tls-ca-no-defaults", "-S", "tls-ca-file=/etc/ca.pem")
		}
		tools.Run(body, "/usr/bin/s-nail", append(args, to)...)
		m := p.Envelope(t, "SMTP", secure, to)
		want := strings.ReplaceAll(body, "\nFrom ", "\n>From ") // by s-nail
		if _, got, _ := strings.Cut(m.Content, "\n\n"); got != want {
			t.Errorf("spooled %q, want %q", got, want)
		}
	})
}
