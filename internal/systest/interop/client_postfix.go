//go:build system

package interop

import (
	"os/exec"
	"strings"
	"testing"

	"smap/internal/systest/kit"
)

// sendPostfix has Postfix's smtp client relay: without TLS, with TLS where it is offered, and only with TLS.
func sendPostfix(t *testing.T, p *kit.Peer) {
	relay := func(name, level string) string {
		return "to-" + name + " unix - - n - - smtp -o smtp_tls_security_level=" + level + "\n"
	}
	hop := "[127.0.0.1]:" + p.PortName()
	postfix := kit.StartPostfix(t, p.Site, strings.Join([]string{"myhostname = client.test", "mydestination =",
		"transport_maps = inline:{ {plain.system.test=to-plain:" + hop + "}, {may.system.test=to-may:" + hop + "}, {secure.system.test=to-secure:" + hop + "} }",
		"smtp_tls_CAfile = " + p.CA, "smtp_tls_secure_cert_match = mx.system.test", "smtp_tls_loglevel = 1"}, "\n"),
		relay("plain", "none")+relay("may", "may")+relay("secure", "secure"))
	for _, level := range []string{"plain", "may", "secure"} {
		to := []string{"postfix@" + level + ".system.test", "postfix-2@" + level + ".system.test"}
		text := kit.Message(kit.FromAddress, to[0], level)
		cmd := exec.Command("/usr/sbin/sendmail", append([]string{"-C", postfix.Conf, "-i", "-f", kit.FromAddress, "-N", "failure,delay", "-V", "id1",
			"-R", "hdrs", "--"}, to...)...)
		cmd.Stdin = strings.NewReader(text)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		m := p.Check(t, level != "plain", text, to...)
		for field, want := range map[string]string{m.Fields["Sender"]: "ENVID=id1", m.Recipients[0]: "NOTIFY=FAILURE,DELAY"} {
			if !strings.Contains(field, want) {
				t.Errorf("%q lacks %s", field, want)
			}
		}
		if !strings.Contains(m.Fields["Sender"], "BODY=8BITMIME") {
			t.Errorf("sender %s", m.Fields["Sender"])
		}
	}
	if n := len(postfix.Lines("Verified TLS connection established")); n != 1 {
		t.Errorf("Postfix verified the certificate %d times, want once", n)
	}
}
