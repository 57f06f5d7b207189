//go:build system

package systest

import (
	"fmt"
	"strings"
	"testing"
)

// TestClients has everybody's SMTP clients send to smap, with STARTTLS and without. Each sends to recipients of its own.
func TestClients(t *testing.T) {
	t.Parallel()
	p := newPeer(t, "smap: offer dsn smtputf8")
	tools := newRoot(t, p.site, "swaks", "libnet-ssleay-perl", "s-nail", "msmtp", "dash")
	p.write(tools.path("etc/ca.pem"), readFile(t, p.ca), 0o644)
	p.write(tools.path("etc/hosts"), "127.0.0.1 mx.system.test\n", 0o644)
	with := func(send func(*testing.T, *peer, *root)) func(*testing.T, *peer) {
		return func(t *testing.T, p *peer) { send(t, p, tools.in(t)) }
	}
	for name, send := range map[string]func(*testing.T, *peer){
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
			send(t, p.in(t))
		})
	}
}

// both runs what a client does without and with TLS, in this order.
func both(send func(secure bool, name string)) {
	send(false, "plain")
	send(true, "secure")
}

func clientCurl(t *testing.T, p *peer) {
	both(func(secure bool, name string) {
		to := "curl-" + name + "@system.test"
		text := message(fromAddress, to, name)
		args := []string{"-sS", "--url", fmt.Sprintf("smtp://127.0.0.1:%d/client.test", p.port), "--mail-from", fromAddress,
			"--mail-rcpt", to, "--upload-file", p.write(p.file("curl-"+name), crlf(text), 0o644)}
		if secure {
			args = append(args, "--ssl-reqd", "--cacert", p.ca)
		}
		run(t, "curl", args...)
		p.check(t, secure, text, to)
	})
}

func clientMsmtp(t *testing.T, p *peer, tools *root) {
	both(func(secure bool, name string) {
		to := []string{"msmtp-" + name + "@system.test", "msmtp-" + name + "-2@system.test"}
		text := message(fromAddress, to[0], name)
		args := []string{"--host=127.0.0.1", fmt.Sprintf("--port=%d", p.port), "--domain=client.test", "--from=" + fromAddress, "--tls=off"}
		if secure {
			args = append(args, "--tls=on", "--tls-starttls=on", "--tls-trust-file=/etc/ca.pem", "--tls-certcheck=on")
		}
		tools.run(text, "/usr/bin/msmtp", append(append(args, "--"), to...)...)
		p.check(t, secure, text, to...)
	})
}

// clientNail: s-nail writes the header itself, so that only the body is compared. Without AUTH it says
// HELO AUTH.
func clientNail(t *testing.T, p *peer, tools *root) {
	both(func(secure bool, name string) {
		to := "s-nail-" + name + "@system.test"
		_, body, _ := strings.Cut(message(fromAddress, to, name), "\n\n")
		args := []string{"-:/", "-S", "v15-compat=yes", "-S", "mta=smtp://mx.system.test:" + p.portName(), "-S", "smtp-auth=none",
			"-S", "hostname=client.test", "-S", "ttycharset=utf-8", "-S", "mime-encoding=8bit", "-r", fromAddress, "-s", name}
		if secure {
			args = append(args, "-S", "smtp-use-starttls", "-S", "tls-verify=strict", "-S", "tls-ca-no-defaults", "-S", "tls-ca-file=/etc/ca.pem")
		}
		tools.run(body, "/usr/bin/s-nail", append(args, to)...)
		m := p.envelope(t, "SMTP", secure, to)
		want := strings.ReplaceAll(body, "\nFrom ", "\n>From ") // by s-nail
		if _, got, _ := strings.Cut(m.content, "\n\n"); got != want {
			t.Errorf("spooled %q, want %q", got, want)
		}
	})
}
