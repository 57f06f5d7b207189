//go:build system

package interop

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestSmarthost has smapd speak SMTP to Postfix: STARTTLS and TLS from the first octet, with verification; AUTH; XCLIENT, so
// that Postfix treats and logs the client as if it had come itself. What is not to be trusted gets nothing.
func TestSmarthost(t *testing.T) {
	t.Parallel()
	s := kit.NewSite(t)
	ca, cert, key := kit.Certificate(t, s, "mx.system.test")
	sockets, _ := startDovecot(t, s)
	bob := kit.NewPerson(t, s.Dir, "smt-smart")
	plain, wrapped, auth := kit.FreePort(t), kit.FreePort(t), kit.FreePort(t)
	p := kit.StartPostfix(t, s, strings.Join([]string{"smtpd_tls_cert_file = " + cert, "smtpd_tls_key_file = " + key, "smtpd_tls_security_level = may",
		"smtpd_tls_received_header = yes", "smtpd_tls_loglevel = 1", "smtpd_peername_lookup = no", "smtpd_sasl_type = dovecot",
		"smtpd_sasl_path = " + sockets + "/auth", "smtpd_relay_restrictions = permit_auth_destination, reject"}, "\n"),
		fmt.Sprintf("%s inet n - n - - smtpd\n -o smtpd_authorized_xclient_hosts=127.0.0.1\n"+
			"%s inet n - n - - smtpd\n -o smtpd_tls_wrappermode=yes\n"+
			"%s inet n - n - - smtpd\n -o smtpd_sasl_auth_enable=yes -o smtpd_tls_auth_only=yes\n"+
			" -o smtpd_relay_restrictions=permit_sasl_authenticated,reject -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject\n",
			kit.Local(plain), kit.Local(wrapped), kit.Local(auth)))
	for _, port := range []int{plain, wrapped, auth} {
		kit.Listening(t, port)
	}
	password := s.Write(s.File("password"), "bob@system.test\nsecret\n", 0o600)
	wrong := s.Write(s.File("wrong"), "bob@system.test\nguess\n", 0o600)
	stranger, _, _ := kit.Certificate(t, &kit.Site{T: t, Dir: mkdir(t, s, "stranger")}, "mx.system.test")

	for _, c := range []struct {
		name, agent string
		trouble     string   // what the log says instead of a delivery
		received    []string // in Postfix's Received field
		log         []string // in a line of Postfix's log
	}{
		{name: "starttls", agent: kit.Local(plain) + " tls verify ca " + ca, received: []string{"using TLSv1.3", "with ESMTPS"}},
		{name: "implicit", agent: kit.Local(wrapped) + " tls implicit ca " + ca, received: []string{"using TLSv1.3", "with ESMTPS"}},
		{name: "stranger", agent: kit.Local(plain) + " tls verify ca " + stranger, trouble: "unknown authority"},
		{name: "stranger-implicit", agent: kit.Local(wrapped) + " tls implicit ca " + stranger, trouble: "unknown authority"},
		{name: "auth", agent: kit.Local(auth) + " ca " + ca + " auth " + password, received: []string{"with ESMTPSA"},
			log: []string{"sasl_method=", "sasl_username=bob@system.test"}},
		{name: "wrong-password", agent: kit.Local(auth) + " ca " + ca + " auth " + wrong, trouble: "AUTH: 535"},
		{name: "xclient", agent: kit.Local(plain) + " xclient tls verify ca " + ca, received: []string{"helo.client.test", "client.test [192.0.2.77]"},
			log: []string{"client=client.test[192.0.2.77]"}},
		{name: "no-xclient", agent: kit.Local(wrapped) + " xclient tls implicit ca " + ca, trouble: "does not offer XCLIENT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := kit.Message(kit.FromAddress, bob.Name+"@system.test", c.name)
			m := &kit.Site{T: t, Dir: s.Dir, Spool: mkdir(t, s, "spool-"+c.name), Table: s.File("table-" + c.name)}
			m.MakeSpool()
			m.Rules("smapd: log stderr", "smapd: badadmin none", "smapd: agent smtp "+c.agent)
			daemon := kit.Start(t, kit.Program(t, "smapd"), "-c", m.Table)
			kit.OwnFeeder(t, m.Spool).Raw(c.name, "Spool-Format: 1\nSender: <"+kit.FromAddress+">\nRecipient: <"+bob.Name+"@system.test>\n"+
				"Client-Address: 192.0.2.77\nClient-Name: client.test\nHelo: helo.client.test\nProtocol: ESMTP\n", text)
			if c.trouble != "" {
				if !kit.Eventually(20*time.Second, func() bool { return strings.Contains(daemon.Log(), c.trouble) }) ||
					!strings.Contains(daemon.Log(), " trouble what=agent") {
					t.Errorf("the log does not tell of trouble with %q", c.trouble)
				}
				if m.Field("cur", c.name, "Sender") == "" || m.Field("cur", c.name, "Attempts") != "" {
					t.Errorf("the message does not wait: in cur/ %v", m.Names("cur"))
				}
				return
			}
			m.Drained(20 * time.Second)
			got := arrivedAs(t, filepath.Join(bob.Home, "Maildir"), c.name)
			if got.Rest != text {
				t.Errorf("arrived %q", got.Rest)
			}
			for _, want := range c.received {
				if !strings.Contains(strings.Join(got.Head["received"], "\n"), want) {
					t.Errorf("no %q in %q", want, got.Head["received"])
				}
			}
			if len(c.log) > 0 && len(p.Lines(c.log...)) == 0 {
				t.Errorf("Postfix does not log %v", c.log)
			}
			// Not even in the log is a password of any use to anybody.
			if strings.Contains(daemon.Log(), "secret") {
				t.Error("the password is in the log")
			}
		})
	}
}

func mkdir(t *testing.T, s *kit.Site, name string) string {
	t.Helper()
	s.Mkdir(s.File(name), 0o755, 0, 0)
	return s.File(name)
}

// arrivedAs waits for the message of that subject in a maildir that gets others too.
func arrivedAs(t *testing.T, maildir, subject string) (found kit.Delivered) {
	t.Helper()
	if !kit.Eventually(20*time.Second, func() bool {
		files, _ := filepath.Glob(filepath.Join(maildir, "new", "*"))
		for _, f := range files {
			if raw := kit.ReadFile(t, f); strings.Contains(raw, "\nSubject: "+subject+"\n") {
				found = kit.Split(raw)
				return true
			}
		}
		return false
	}) {
		t.Errorf("%s did not arrive", subject)
	}
	return found
}
