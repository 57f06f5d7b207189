package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"smap/internal/scripttest"
	"smap/netperm"
)

// certificate writes a key, and a certificate for a name that it signs itself.
func certificate(ts *testscript.TestScript, _ bool, args []string) {
	ts.Check(writeCertificate(ts.MkAbs(args[0]), ts.MkAbs(args[1]), args[2]))
}

func writeCertificate(certFile, keyFile, name string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	c := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, &c, &c, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600),
		os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// tickets is a client's store of TLS sessions, which counts what it is given.
type tickets struct{ given int }

func (*tickets) Get(string) (*tls.ClientSessionState, bool) { return nil, false }

func (s *tickets) Put(_ string, state *tls.ClientSessionState) {
	if state != nil {
		s.given++
	}
}

// TestNoSessionTickets: some large senders cannot stand them.
func TestNoSessionTickets(t *testing.T) {
	dir := t.TempDir()
	cert, key, path := filepath.Join(dir, "cert"), filepath.Join(dir, "key"), filepath.Join(dir, "table")
	table := "smap: userid 65534\nsmap: directory " + dir + "\nsmap: tls-cert " + cert + "\nsmap: tls-key " + key + "\n"
	if err := errors.Join(writeCertificate(cert, key, "mx.test"), os.WriteFile(path, []byte(table), 0o600)); err != nil {
		t.Fatal(err)
	}
	rules, err := netperm.Load(path, "smap")
	if err != nil {
		t.Fatal(err)
	}
	secure, err := startTLS(rules)
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		ours, theirs := net.Pipe()
		go func() {
			defer theirs.Close()
			conn, _, err := secure(theirs)
			if err == nil {
				_, err = conn.Write([]byte("x"))
			}
			if err != nil {
				t.Error(err)
			}
		}()
		store := new(tickets)
		conn := tls.Client(ours, &tls.Config{InsecureSkipVerify: true, ServerName: "mx.test", MinVersion: version, MaxVersion: version, ClientSessionCache: store})
		b := make([]byte, 1)
		if _, err := io.ReadFull(conn, b); err != nil || b[0] != 'x' {
			t.Errorf("%q, %v", b, err)
		}
		ours.Close()
		if store.given > 0 {
			t.Errorf("%s: %d tickets", tls.VersionName(version), store.given)
		}
	}
}

// tlsName says STARTTLS and EHLO, and returns the name in the certificate.
func tlsName(ts *testscript.TestScript, log string) (string, error) {
	client := dial(ts, log)
	defer client.conn.Close()
	err := client.dialogue("S~ 220 \nC: EHLO c\nS~ 250-mx\nS~ 250-8BIT\nS~ 250-PIPE\nS~ 250-CHUNK\nS~ 250-ENHANCED\nS~ 250-SIZE\nS~ 250-LIMITS\nS: 250 STARTTLS\nC: STARTTLS\nS~ 220 ")
	if err != nil {
		return "", err
	}
	secure := tls.Client(client.conn, &tls.Config{InsecureSkipVerify: true}) // the name is compared by the caller
	if err := secure.Handshake(); err != nil {
		return "", err
	}
	name := secure.ConnectionState().PeerCertificates[0].Subject.CommonName
	return name, newClient(secure).dialogue("C: EHLO c\nS~ 250-mx\nS~ 250-8BIT\nS~ 250-PIPE\nS~ 250-CHUNK\nS~ 250-ENHANCED\nS~ 250-SIZE\nS~ 250 LIMITS\nC: QUIT\nS~ 221 ")
}

// withTLS wants the certificate of a server to have a name.
func withTLS(ts *testscript.TestScript, _ bool, args []string) {
	if name, err := tlsName(ts, args[0]); err != nil || name != args[1] {
		ts.Fatalf("the certificate of %s, %v\n%s", name, err, scripttest.Read(ts, args[0]))
	}
}

// untilTLS waits until it has.
func untilTLS(ts *testscript.TestScript, _ bool, args []string) {
	last := errors.New("never asked")
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		name, err := tlsName(ts, args[0])
		if err == nil && name == args[1] {
			return
		}
		last = fmt.Errorf("the certificate of %s, %w", name, err)
	}
	ts.Fatalf("%v", last)
}
