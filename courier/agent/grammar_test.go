package agent

import (
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"crypto/tls"
	"crypto/x509"

	"github.com/google/go-cmp/cmp"
)

// pemOf is a certificate with its key, as a file has them.
func pemOf(t *testing.T, cert tls.Certificate) []byte {
	t.Helper()
	key, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert.Certificate[0]}),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key})...)
}

func TestParse(t *testing.T) {
	cert, _ := certificate(t)
	both := pemOf(t, cert)
	o := Options{Hostname: "me.test", ReadFile: func(name string) ([]byte, error) {
		switch name {
		case "/auth":
			return []byte("user\npassword\n"), nil
		case "/pem":
			return both, nil
		case "/bad":
			return []byte("x"), nil
		}
		return nil, fs.ErrNotExist
	}}
	for _, c := range []struct{ words, name, fault string }{
		{"sendmail /usr/sbin/sendmail -x", "sendmail /usr/sbin/sendmail", ""},
		{"exec /bin/x {recipient}", "exec /bin/x", ""},
		{"maildir /home/a/Maildir", "maildir /home/a/Maildir", ""},
		{"lmtp /run/lmtp", "lmtp /run/lmtp", ""},
		{"smtp mx.test,192.0.2.1:26,[2001:db8::1]", "smtp mx.test:25,192.0.2.1:26,[2001:db8::1]:25", ""},
		{"smtp mx.test tls verify ca /pem cert /pem auth /auth helo a.test", "smtp mx.test:25", ""},
		{"smtp mx.test oauth2 me@x.test /token", "smtp mx.test:25", ""},
		{"smtp 127.0.0.1:25 xclient proxy", "smtp 127.0.0.1:25", ""},
		{"uucp x", "", `"uucp" is not a kind of agent`},
		{"exec", "", "agent exec needs a value: agent exec PROGRAM [ARG...]"},
		{"exec x", "", "absolute path"},
		{"sendmail x", "", "absolute path"},
		{"maildir /a b", "", "takes one value, got 2"},
		{"maildir a", "", "absolute path"},
		{"smtp mx.test tls", "", `"tls" needs a value`},
		{"smtp mx.test tls maybe", "", `tls "maybe" is none of`},
		{"smtp mx.test frob 1", "", `"frob" is unknown: the words are tls`},
		{"smtp mx.test auth /none", "", "auth /none: file does not exist"},
		{"smtp mx.test auth /bad", "", "auth /bad: the file must hold two lines"},
		{"smtp mx.test ca /bad", "", "ca /bad: no certificate"},
		{"smtp mx.test cert /bad", "", "cert /bad: "},
		{"smtp mx.test tls may auth /auth", "", "auth needs tls verify"},
		{"smtp mx.test tls none oauth2 u /token", "", "auth needs tls verify"},
		{"smtp mx.test oauth2 u token", "", "absolute path"},
		{"smtp mx.test helo a@b", "", "not the name of a host"},
	} {
		a, err := Parse(strings.Fields(c.words), o)
		switch {
		case c.fault != "":
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%s: %v, want %q", c.words, err, c.fault)
			}
		case err != nil:
			t.Errorf("%s: %v", c.words, err)
		case a.Name() != c.name:
			t.Errorf("%s: %q", c.words, a.Name())
		}
	}
	a, err := Parse(strings.Fields("smtp mx.test auth /auth"), o)
	if r, ok := a.(*Remote); err != nil || !ok || r.TLS != TLSVerify || r.User != "user" || r.Helo != "me.test" {
		t.Errorf("auth without tls: %+v %v", a, err)
	}
	if d := cmp.Diff([]string{"/ca", "/auth", "/cert"}, Files(strings.Fields("smtp x tls verify ca /ca helo ca auth /auth oauth2 ca cert cert /cert"))); d != "" {
		t.Error(d)
	}
	if Files(strings.Fields("exec /x auth /y")) != nil {
		t.Error("files of a program")
	}
}

// TestTokens: a token is read anew each time, and is one word.
func TestTokens(t *testing.T) {
	dir := t.TempDir()
	file, program := filepath.Join(dir, "token"), filepath.Join(dir, "program")
	fromFile, fromProgram := FileToken(file), ProgramToken(program)
	for _, token := range []string{"one", "two"} {
		if err := os.WriteFile(file, []byte(token+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(program, []byte("#!/bin/sh\necho "+token+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		for _, f := range []func() (string, error){
			func() (string, error) { return fromFile(t.Context()) },
			func() (string, error) { return fromProgram(t.Context()) },
		} {
			if got, err := f(); got != token || err != nil {
				t.Errorf("%q %v, want %q", got, err, token)
			}
		}
	}
	for _, bad := range []string{"", "a b", "a\nb", "ü"} {
		if err := os.WriteFile(file, []byte(bad), 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := fromFile(t.Context()); err == nil {
			t.Errorf("%q: %q", bad, got)
		}
	}
}

// TestXOAUTH2: the token, of a file or a program, goes to the server as Google and
// Microsoft have it, and what they say of a bad one is heard to its end.
func TestXOAUTH2(t *testing.T) {
	dir := t.TempDir()
	file, program := filepath.Join(dir, "token"), filepath.Join(dir, "program")
	if err := os.WriteFile(file, []byte("tok\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho tok\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	const delivery = "\nC: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 taken\nWAIT"
	for answer, good := range map[string]bool{
		"S: 235 ok" + delivery: true,
		"S: 334 eyJzdGF0dXMiOiI0MDAifQ==\nC: $\nS: 535 5.7.8 bad token\nWAIT": false,
	} {
		for word, value := range map[string]string{"oauth2": file, "oauth2-program": program} {
			server := scripted(t, "S: 220 mx.test\nC: EHLO\nS: 250-mx.test\nS: 250 AUTH PLAIN XOAUTH2\nC: AUTH XOAUTH2 dXNlcj11AWF1dGg9QmVhcmVyIHRvawEB$\n"+
				answer)
			a, err := Parse([]string{"smtp", server.servers[0].address, word, "u", value}, Options{})
			if err != nil {
				t.Fatal(err)
			}
			r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test"))
			if good && (err != nil || r[0].Outcome != Delivered) {
				t.Errorf("%s: %+v %v", word, r, err)
			}
			if !good && (err == nil || !strings.Contains(err.Error(), "AUTH: 535 5.7.8 bad token")) {
				t.Errorf("%s: %+v %v", word, r, err)
			}
			if err := a.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestNoToken: a server that does not offer XOAUTH2 does not get the token in another way,
// and a program that fails is trouble with the agent.
func TestNoToken(t *testing.T) {
	dir := t.TempDir()
	program := filepath.Join(dir, "program")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho tok\nexit 1\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for offer, want := range map[string]string{
		"PLAIN LOGIN": `the server does not offer AUTH XOAUTH2; it offers "PLAIN LOGIN"`,
		"XOAUTH2":     "oauth2: " + program + ": exit status 1",
	} {
		server := scripted(t, "S: 220 mx.test\nC: EHLO\nS: 250-mx.test\nS: 250 AUTH "+offer)
		a, err := Parse([]string{"smtp", server.servers[0].address, "oauth2-program", "u", program}, Options{})
		if err != nil {
			t.Fatal(err)
		}
		var start *StartError
		if _, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); !errors.As(err, &start) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestKeys: what may hang together is a domain for SMTP, a mailbox for LMTP and for a
// script; with proxy also the mail of a client.
func TestKeys(t *testing.T) {
	for _, c := range []struct {
		a    Keyer
		want Keys
	}{
		{&Remote{}, Keys{To: "x.test"}}, {&Remote{LMTP: true}, Keys{To: "ann@x.test"}}, {&Exec{}, Keys{To: "ann@x.test"}},
		{&Remote{Proxy: true}, Keys{"x.test", "client 192.0.2.1/32"}}, {&Remote{LMTP: true, Proxy: true}, Keys{"ann@x.test", "client 192.0.2.1/32"}},
	} {
		if got := c.a.Keys("Ann@X.test", "192.0.2.1"); got != c.want {
			t.Errorf("%T: %q, want %q", c.a, got, c.want)
		}
	}
	for client, want := range map[string]string{
		"local": "", "": "", "::ffff:192.0.2.1": "client 192.0.2.1/32", "2001:db8::1:2:3:4": "client 2001:db8::/64", "fe80::1%eth0": "client fe80::/64",
	} {
		if got := (&Remote{Proxy: true}).Keys("a@x.test", client).Client; got != want {
			t.Errorf("%s: %q, want %q", client, got, want)
		}
	}
}

// TestEnvironment: each variable, none of those that the envelope does not have, and
// none of an outer agent's.
func TestEnvironment(t *testing.T) {
	j := job(t, "x\n", "b@x.test")
	for name, v := range map[string]string{"TLS": "TLS1.3", "Client-Ident": "bob", "Helo": "me"} {
		if err := j.Envelope.Set(name, v); err != nil {
			t.Fatal(err)
		}
	}
	want := []string{"SMAP_ID=x1", "SMAP_SENDER=a@example.com", "SMAP_RECIPIENTS=b@x.test", "SMAP_RECIPIENT=b@x.test", "SMAP_SIZE=2",
		"SMAP_ENVELOPE=/spool/cur/x1.envelope", "SMAP_CLIENT_IDENT=bob", "SMAP_HELO=me", "SMAP_TLS=TLS1.3"}
	if d := cmp.Diff(want, Environment(j)); d != "" {
		t.Error(d)
	}
	outer := append([]string{"PATH=/bin", "SMAP_SPOOL=/x"}, want...)
	if d := cmp.Diff([]string{"PATH=/bin", "SMAP_SPOOL=/x"}, Inherit(outer)); d != "" {
		t.Error(d)
	}
	if len(Variables()) < len(want) {
		t.Errorf("variables %v", Variables())
	}
}

// TestLocal: what can deliver mail for people on this host.
func TestLocal(t *testing.T) {
	here, err := NewSMTP("127.0.0.1,localhost")
	if err != nil {
		t.Fatal(err)
	}
	mixed, err := NewSMTP("127.0.0.1,mx.test")
	if err != nil {
		t.Fatal(err)
	}
	for a, want := range map[Agent]bool{NewMaildir("/x"): true, &Sendmail{Argv: []string{"/x"}}: true, here: true, mixed: false, &Exec{Argv: []string{"/x"}}: false} {
		if Local(a) != want {
			t.Errorf("%s: %v", a.Name(), !want)
		}
	}
}

// TestAuthLogin: the two steps of AUTH LOGIN, for servers without PLAIN.
func TestAuthLogin(t *testing.T) {
	a := scripted(t, "S: 220 mx.test\nC: EHLO\nS: 250-mx.test\nS: 250 AUTH LOGIN\nC: AUTH LOGIN$\nS: 334 VXNlcm5hbWU6\nC: dQ==$\nS: 334 UGFzc3dvcmQ6\nC: cA==$\nS: 235 ok\n"+
		"C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 taken\nWAIT")
	a.User, a.Password = "u", "p"
	if r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); err != nil || r[0].Outcome != Delivered {
		t.Errorf("%+v %v", r, err)
	}
}
