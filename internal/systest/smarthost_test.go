//go:build system

package systest

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

func itoa(n int) string { return strconv.Itoa(n) }

// TestSmarthost has smapd speak SMTP to Postfix: STARTTLS and TLS from the first octet, with verification; AUTH; XCLIENT, so
// that Postfix treats and logs the client as if it had come itself. What is not to be trusted gets nothing.
func TestSmarthost(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	ca, cert, key := certificate(t, s, "mx.system.test")
	sockets, _ := startDovecot(t, s)
	bob := newPerson(t, s.dir, "smt-smart")
	plain, wrapped, auth := freePort(t), freePort(t), freePort(t)
	p := startPostfix(t, s, strings.Join([]string{"smtpd_tls_cert_file = " + cert, "smtpd_tls_key_file = " + key, "smtpd_tls_security_level = may",
		"smtpd_tls_received_header = yes", "smtpd_tls_loglevel = 1", "smtpd_peername_lookup = no", "smtpd_sasl_type = dovecot",
		"smtpd_sasl_path = " + sockets + "/auth", "smtpd_relay_restrictions = permit_auth_destination, reject"}, "\n"),
		fmt.Sprintf("%s inet n - n - - smtpd\n -o smtpd_authorized_xclient_hosts=127.0.0.1\n"+
			"%s inet n - n - - smtpd\n -o smtpd_tls_wrappermode=yes\n"+
			"%s inet n - n - - smtpd\n -o smtpd_sasl_auth_enable=yes -o smtpd_tls_auth_only=yes\n"+
			" -o smtpd_relay_restrictions=permit_sasl_authenticated,reject -o smtpd_recipient_restrictions=permit_sasl_authenticated,reject\n",
			local(plain), local(wrapped), local(auth)))
	for _, port := range []int{plain, wrapped, auth} {
		listening(t, port)
	}
	password := s.write(s.file("password"), "bob@system.test\nsecret\n", 0o600)
	wrong := s.write(s.file("wrong"), "bob@system.test\nguess\n", 0o600)
	stranger, _, _ := certificate(t, &site{t: t, dir: mkdir(t, s, "stranger")}, "mx.system.test")

	for _, c := range []struct {
		name, agent string
		trouble     string   // what the log says instead of a delivery
		received    []string // in Postfix's Received field
		log         []string // in a line of Postfix's log
	}{
		{name: "starttls", agent: local(plain) + " tls verify ca " + ca, received: []string{"using TLSv1.3", "with ESMTPS"}},
		{name: "implicit", agent: local(wrapped) + " tls implicit ca " + ca, received: []string{"using TLSv1.3", "with ESMTPS"}},
		{name: "stranger", agent: local(plain) + " tls verify ca " + stranger, trouble: "unknown authority"},
		{name: "stranger-implicit", agent: local(wrapped) + " tls implicit ca " + stranger, trouble: "unknown authority"},
		{name: "auth", agent: local(auth) + " ca " + ca + " auth " + password, received: []string{"with ESMTPSA"},
			log: []string{"sasl_method=", "sasl_username=bob@system.test"}},
		{name: "wrong-password", agent: local(auth) + " ca " + ca + " auth " + wrong, trouble: "AUTH: 535"},
		{name: "xclient", agent: local(plain) + " xclient tls verify ca " + ca, received: []string{"helo.client.test", "client.test [192.0.2.77]"},
			log: []string{"client=client.test[192.0.2.77]"}},
		{name: "no-xclient", agent: local(wrapped) + " xclient tls implicit ca " + ca, trouble: "does not offer XCLIENT"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := message(fromAddress, bob.name+"@system.test", c.name)
			m := &site{t: t, dir: s.dir, spool: mkdir(t, s, "spool-"+c.name), table: s.file("table-" + c.name)}
			m.makeSpool()
			m.rules("smapd: log stderr", "smapd: badadmin none", "smapd: agent smtp "+c.agent)
			daemon := start(t, program(t, "smapd"), "-c", m.table)
			ownFeeder(t, m.spool).raw(c.name, "Spool-Format: 1\nSender: <"+fromAddress+">\nRecipient: <"+bob.name+"@system.test>\n"+
				"Client-Address: 192.0.2.77\nClient-Name: client.test\nHelo: helo.client.test\nProtocol: ESMTP\n", text)
			if c.trouble != "" {
				if !eventually(20*time.Second, func() bool { return strings.Contains(daemon.log(), c.trouble) }) ||
					!strings.Contains(daemon.log(), " trouble what=agent") {
					t.Errorf("the log does not tell of trouble with %q", c.trouble)
				}
				if m.field("cur", c.name, "Sender") == "" || m.field("cur", c.name, "Attempts") != "" {
					t.Errorf("the message does not wait: in cur/ %v", m.names("cur"))
				}
				return
			}
			m.drained(20 * time.Second)
			got := arrivedAs(t, filepath.Join(bob.home, "Maildir"), c.name)
			if got.rest != text {
				t.Errorf("arrived %q", got.rest)
			}
			for _, want := range c.received {
				if !strings.Contains(strings.Join(got.head["received"], "\n"), want) {
					t.Errorf("no %q in %q", want, got.head["received"])
				}
			}
			if len(c.log) > 0 && len(p.lines(c.log...)) == 0 {
				t.Errorf("Postfix does not log %v", c.log)
			}
			// Not even in the log is a password of any use to anybody.
			if strings.Contains(daemon.log(), "secret") {
				t.Error("the password is in the log")
			}
		})
	}
}

func mkdir(t *testing.T, s *site, name string) string {
	t.Helper()
	s.mkdir(s.file(name), 0o755, 0, 0)
	return s.file(name)
}

// arrivedAs waits for the message of that subject in a maildir that gets others too.
func arrivedAs(t *testing.T, maildir, subject string) (found delivered) {
	t.Helper()
	if !eventually(20*time.Second, func() bool {
		files, _ := filepath.Glob(filepath.Join(maildir, "new", "*"))
		for _, f := range files {
			if raw := readFile(t, f); strings.Contains(raw, "\nSubject: "+subject+"\n") {
				found = split(raw)
				return true
			}
		}
		return false
	}) {
		t.Errorf("%s did not arrive", subject)
	}
	return found
}
