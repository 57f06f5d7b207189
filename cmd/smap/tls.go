package main

import (
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"time"

	"smap/netperm"
	"smap/receiver"
)

// startTLS reads the certificate and the key, which the jail will hide. It returns a
// function that starts TLS on a connection, or nil if the table names no certificate.
func startTLS(t *netperm.Table) (func(receiver.Conn) (receiver.Conn, receiver.TLS, error), error) {
	if !t.Has(netperm.TLSCert) {
		return nil, nil
	}
	var pem [2][]byte
	for i, clause := range []netperm.StringClause{netperm.TLSCert, netperm.TLSKey} {
		var err error
		if pem[i], err = netperm.ReadFile(t.String(clause)); err != nil {
			return nil, t.Errorf(clause, "%w", err)
		}
	}
	pair, err := tls.X509KeyPair(pem[0], pem[1])
	if err != nil {
		return nil, t.Errorf(netperm.TLSCert, "%w", err)
	}
	// Some large senders close the connection when they get a session ticket, and
	// never try without TLS (golang.org/issue/70232).
	config := &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12, SessionTicketsDisabled: true}
	return func(c receiver.Conn) (receiver.Conn, receiver.TLS, error) {
		secure := tls.Server(plain{c}, config)
		if err := secure.Handshake(); err != nil {
			return nil, receiver.TLS{}, err
		}
		state := secure.ConnectionState()
		// Mail headers write "TLSv1.3", not "TLS 1.3".
		version := strings.Replace(tls.VersionName(state.Version), "TLS ", "TLSv", 1)
		return secure, receiver.TLS{Version: version, Cipher: tls.CipherSuiteName(state.CipherSuite)}, nil
	}, nil
}

// plain adds the methods that crypto/tls requires of a connection. TLS does not use
// the addresses. Close does nothing: smap closes the connection itself.
type plain struct{ receiver.Conn }

func (plain) Close() error         { return nil }
func (plain) LocalAddr() net.Addr  { return nil }
func (plain) RemoteAddr() net.Addr { return nil }
func (p plain) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}
