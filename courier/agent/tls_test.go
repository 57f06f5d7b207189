package agent

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"strings"
	"sync/atomic"
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
func TestSTARTTLSInjection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 1000)
		for _, say := range []string{"220 a\r\n", "250-a\r\n250 STARTTLS\r\n", "220 go\r\n250 injected\r\n"} {
			if _, err := conn.Write([]byte(say)); err != nil {
				return
			}
			if _, err := conn.Read(buf); err != nil {
				return
			}
		}
	}()
	a, err := NewSMTP(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Deliver(t.Context(), job(t, "x\n", "b@x.test"))
	var start *StartError
	if !errors.As(err, &start) || !strings.Contains(err.Error(), "between STARTTLS and TLS") {
		t.Error(err)
	}
}

// TestSMTPTLSRefused: TLSMay goes on without where the server cannot just now;
// TLSVerify never does.
func TestSMTPTLSRefused(t *testing.T) {
	const hello = "S: 220 a\nC: EHLO me.test\nS: 250-a\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 not now\n"
	const rest = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 ok\n"
	a := scriptedOn(t, "tcp", "127.0.0.1:0", hello+rest)
	if r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); err != nil || r[0].Outcome != Delivered {
		t.Errorf("may: %+v %v", r, err)
	}
	for _, script := range []string{hello, "S: 220 a\nC: EHLO me.test\nS: 250 a\n"} {
		a := scriptedOn(t, "tcp", "127.0.0.1:0", script)
		a.TLS = TLSVerify
		var start *StartError
		if r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); !errors.As(err, &start) {
			t.Errorf("verify: %+v %v", r, err)
		}
	}
}

// brokenTLS is a server that offers STARTTLS and cannot do it: an old version, a
// broken certificate. It counts its connections.
func brokenTLS(t *testing.T) (address string, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	connections = new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go plaintextOnly(conn)
		}
	}()
	return l.Addr().String(), connections
}

func plaintextOnly(conn net.Conn) {
	defer conn.Close()
	replies := map[string]string{"EHLO": "250-a\r\n250 STARTTLS\r\n", "STAR": "220 go\r\n", "DATA": "354 go\r\n"}
	fmt.Fprintf(conn, "220 a\r\n")
	inData := false
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		for line == "DATA\r\n" || inData && line != ".\r\n" {
			if line == "DATA\r\n" {
				inData = true
				fmt.Fprint(conn, replies["DATA"])
			}
			if line, err = r.ReadString('\n'); err != nil {
				return
			}
		}
		inData = false
		reply := replies[line[:min(4, len(line))]]
		if reply == "" {
			reply = "250 ok\r\n"
		}
		fmt.Fprint(conn, reply)
		if strings.HasPrefix(line, "STARTTLS") {
			return
		}
	}
}

// A server whose TLS is broken gets its mail in plaintext with TLSMay, over a
// second connection, and none at all with TLSVerify.
func TestSMTPTLSMayFallsBack(t *testing.T) {
	address, connections := brokenTLS(t)
	a, err := NewSMTP(address)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	results, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test"))
	if err != nil || results[0].Outcome != Delivered {
		t.Errorf("tls may: %+v %v", results, err)
	}
	if n := connections.Load(); n != 2 {
		t.Errorf("tls may: %d connections, want 2", n)
	}
	if a, err = NewSMTP(address); err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	a.TLS = TLSVerify
	var start *StartError
	if results, err = a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); !errors.As(err, &start) {
		t.Errorf("tls verify: %+v %v", results, err)
	}
	if n := connections.Load(); n != 3 {
		t.Errorf("tls verify: %d connections, want 1", n-2)
	}
}

// TestHelloAfterTLS: a server that takes no hello over TLS gets no mail. What it offered before
// TLS does not count any more.
func TestHelloAfterTLS(t *testing.T) {
	cert, _ := certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 10)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		for _, say := range []string{"220 a\r\n", "250-a\r\n250 STARTTLS\r\n", "220 go\r\n"} {
			fmt.Fprint(conn, say)
			if say != "220 go\r\n" {
				_, _ = r.ReadString('\n') // EHLO, STARTTLS
			}
		}
		secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
		for r = bufio.NewReader(secure); ; fmt.Fprint(secure, "550 no\r\n") {
			line, err := r.ReadString('\n')
			if err != nil {
				close(heard)
				return
			}
			heard <- line[:4]
		}
	}()
	a, err := NewSMTP(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	results, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test"))
	var start *StartError
	if !errors.As(err, &start) {
		t.Errorf("%+v %v", results, err)
	}
	for command := range heard {
		if command == "MAIL" {
			t.Error("MAIL")
		}
	}
}

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
