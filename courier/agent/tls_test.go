package agent

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/emersion/go-sasl"
	"github.com/emersion/go-smtp"
)

// certificate makes one for localhost, and the pool that trusts it.
func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "sink.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(cert)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// authSession is a session that wants a password.
type authSession struct {
	*sinkSession
	known bool
}

func (s *authSession) AuthMechanisms() []string { return []string{"PLAIN"} }

func (s *authSession) Auth(string) (sasl.Server, error) {
	return sasl.NewPlainServer(func(_, user, password string) error {
		if s.known = user == "u" && password == "p"; !s.known {
			return errors.New("wrong password")
		}
		return nil
	}), nil
}

func (s *authSession) Mail(from string, o *smtp.MailOptions) error {
	if !s.known {
		return smtp.ErrAuthRequired
	}
	return s.sinkSession.Mail(from, o)
}

type authSink struct{ *sink }

func (s authSink) NewSession(*smtp.Conn) (smtp.Session, error) {
	return &authSession{sinkSession: &sinkSession{s: s.sink}}, nil
}

// secured serves on TCP, with STARTTLS or with TLS from the start.
func secured(t *testing.T, backend smtp.Backend, cert tls.Certificate, implicit bool) *Remote {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := smtp.NewServer(backend)
	srv.Domain = "sink.test"
	srv.TLSConfig = &tls.Config{Certificates: []tls.Certificate{cert}}
	address := l.Addr().String()
	if implicit {
		l = tls.NewListener(l, srv.TLSConfig)
	}
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	a, err := NewSMTP(address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close() })
	return a
}

func TestSMTPTLS(t *testing.T) {
	cert, roots := certificate(t)
	for _, c := range []struct {
		name     string
		mode     TLSMode
		implicit bool
		trusted  bool
		good     bool
	}{
		{"may", TLSMay, false, false, true},
		{"verify", TLSVerify, false, true, true},
		{"verify, stranger", TLSVerify, false, false, false},
		{"implicit", TLSImplicit, true, true, true},
		{"implicit, stranger", TLSImplicit, true, false, false},
	} {
		s := &sink{}
		a := secured(t, s, cert, c.implicit)
		a.TLS = c.mode
		if c.trusted {
			a.Roots = roots
		}
		r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test"))
		var start *StartError
		if c.good && (err != nil || r[0].Outcome != Delivered) || !c.good && (!errors.As(err, &start) || len(s.mails) > 0) {
			t.Errorf("%s: %+v %v", c.name, r, err)
		}
	}
}

func TestSMTPAuth(t *testing.T) {
	cert, roots := certificate(t)
	a := secured(t, authSink{&sink{}}, cert, false)
	a.TLS, a.Roots, a.User, a.Password = TLSVerify, roots, "u", "p"
	if r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); err != nil || r[0].Outcome != Delivered {
		t.Fatalf("%+v %v", r, err)
	}
	b := secured(t, authSink{&sink{}}, cert, false)
	b.TLS, b.Roots, b.User, b.Password = TLSVerify, roots, "u", "wrong"
	var start *StartError
	_, err := b.Deliver(t.Context(), job(t, "x\n", "b@x.test"))
	if !errors.As(err, &start) || !strings.Contains(err.Error(), "AUTH") || strings.Contains(err.Error(), "dQ") {
		t.Errorf("wrong password: %v", err)
	}
}

// TestSMTPAuthNeedsTLS: a password never goes out where somebody could listen,
// or stand in between.
func TestSMTPAuthNeedsTLS(t *testing.T) {
	for _, c := range []smtpConn{
		{server: server{"tcp", "192.0.2.1:25"}, opt: &Remote{User: "u"}},
		{server: server{"tcp", "mail.example:25"}, opt: &Remote{User: "u", TLS: TLSVerify}},
	} {
		c.ext = map[string]string{"AUTH": "PLAIN"}
		if err := c.login(t.Context()); err == nil || !strings.Contains(err.Error(), "verified TLS") {
			t.Error(err)
		}
	}
}

// TestSTARTTLSInjection: what came before TLS must not be taken for what the
// server says inside.
// TestSMTPTLSRefused: TLSMay goes on without where the server cannot just now;
// TLSVerify never does.
// brokenTLS is a server that offers STARTTLS and cannot do it: an old version, a
// broken certificate. It counts its connections.
// A server whose TLS is broken gets its mail in plaintext with TLSMay, over a
// second connection, and none at all with TLSVerify.
// TestHelloAfterTLS: a server that takes no hello over TLS gets no mail. What it offered before
// TLS does not count any more.
// TestClientCertificate: a server that asks for a certificate gets the one of the
// table.
func TestClientCertificate(t *testing.T) {
	cert, roots := certificate(t)
	both := pemOf(t, cert)
	for _, shown := range []bool{true, false} {
		l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: roots})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				go plaintextOnly(conn)
			}
		}()
		words := []string{"smtp", l.Addr().String(), "tls", "implicit", "ca", "/pem"}
		if shown {
			words = append(words, "cert", "/pem")
		}
		a, err := Parse(words, Options{ReadFile: func(string) ([]byte, error) { return both, nil }})
		if err != nil {
			t.Fatal(err)
		}
		defer a.Close()
		r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test"))
		if delivered := err == nil && r[0].Outcome == Delivered; delivered != shown {
			t.Errorf("certificate shown %v: %+v %v", shown, r, err)
		}
	}
}
