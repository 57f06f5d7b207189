package receiver

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
	"os"
	"sync"
	"testing"
	"time"
)

// pipe is one end of a connection, as crypto/tls wants it.
type pipe struct{ Conn }

func (p pipe) Read(b []byte) (int, error) {
	n, err := p.Conn.Read(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = os.ErrDeadlineExceeded // crypto/tls wants a net.Error, to go on after it
	}
	return n, err
}
func (pipe) Close() error         { return nil }
func (pipe) LocalAddr() net.Addr  { return nil }
func (pipe) RemoteAddr() net.Addr { return nil }
func (p pipe) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}

var _ net.Conn = pipe{(*os.File)(nil)}

// certificate is made once: it costs more than most sessions.
var certificate = sync.OnceValues(func() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "mx.local.test"},
		DNSNames:     []string{"mx.local.test"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
})

func clientTLS(t testing.TB) *tls.Config {
	t.Helper()
	c, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(c.Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{RootCAs: roots, ServerName: "mx.local.test"}
}

// serverTLS is what cmd/smap gives to sessions, with that certificate.
func serverTLS(t testing.TB) func(Conn) (Conn, TLS, error) {
	t.Helper()
	c, err := certificate()
	if err != nil {
		t.Fatal(err)
	}
	config := &tls.Config{Certificates: []tls.Certificate{c}, MinVersion: tls.VersionTLS13}
	return func(conn Conn) (Conn, TLS, error) {
		secure := tls.Server(pipe{conn}, config)
		if err := secure.Handshake(); err != nil {
			return nil, TLS{}, err
		}
		return secure, TLS{Version: "TLSv1.3", Cipher: "TEST"}, nil
	}
}
