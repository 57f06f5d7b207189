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
	"math/big"
	"os"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"smap/internal/scripttest"
)

// certificate writes a key, and a certificate for a name that it signs itself.
func certificate(ts *testscript.TestScript, _ bool, args []string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	ts.Check(err)
	c := x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: args[2]}, DNSNames: []string{args[2]},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, &c, &c, &key.PublicKey, key)
	ts.Check(err)
	private, err := x509.MarshalPKCS8PrivateKey(key)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert}), 0o600))
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600))
}

// tlsName says STARTTLS and EHLO, and returns the name in the certificate.
func tlsName(ts *testscript.TestScript, log string) (string, error) {
	client := dial(ts, log)
	defer client.conn.Close()
	err := client.dialogue("S~ 220 \nC: EHLO c\nS~ 250-mx\nS~ 250-8BIT\nS~ 250-PIPE\nS~ 250-CHUNK\nS~ 250-ENHANCED\nS~ 250-SIZE\nS: 250 STARTTLS\nC: STARTTLS\nS~ 220 ")
	if err != nil {
		return "", err
	}
	secure := tls.Client(client.conn, &tls.Config{InsecureSkipVerify: true}) // the name is compared by the caller
	if err := secure.Handshake(); err != nil {
		return "", err
	}
	name := secure.ConnectionState().PeerCertificates[0].Subject.CommonName
	return name, newClient(secure).dialogue("C: EHLO c\nS~ 250-mx\nS~ 250-8BIT\nS~ 250-PIPE\nS~ 250-CHUNK\nS~ 250-ENHANCED\nS~ 250 SIZE\nC: QUIT\nS~ 221 ")
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
