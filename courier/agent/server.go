package agent

import (
	"crypto/tls"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
)

// A server is one address of a Remote.
type server struct{ network, address string }

// parseServers reads addresses, separated by commas.
func parseServers(addresses, port string) ([]server, error) {
	var all []server
	for one := range strings.SplitSeq(addresses, ",") {
		s, err := parseServer(one, port)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

func parseServer(address, port string) (server, error) {
	path := strings.TrimPrefix(address, "unix:")
	if filepath.IsAbs(path) {
		return server{"unix", path}, nil
	}
	if path != address {
		return server{}, fmt.Errorf("%q is not the absolute path of a socket", path)
	}
	host, p, err := net.SplitHostPort(address)
	if err != nil {
		host, p = strings.Trim(address, "[]"), port
	}
	if host == "" || p == "" || strings.ContainsAny(host, "/ ") || host[0] == '-' {
		return server{}, fmt.Errorf("%q is not an address", address)
	}
	if n, err := net.LookupPort("tcp", p); err != nil || n == 0 {
		return server{}, fmt.Errorf("%q: %q is not a port from 1 to 65535", address, p)
	}
	return server{"tcp", net.JoinHostPort(host, p)}, nil
}

func (s server) host() string {
	host, _, err := net.SplitHostPort(s.address)
	if err != nil {
		return s.address
	}
	return host
}

// local tells whether the server is on this host, so that what is said to it crosses
// no network.
func (s server) local() bool {
	ip, err := netip.ParseAddr(s.host())
	return s.network == "unix" || err == nil && ip.Unmap().IsLoopback() || s.host() == "localhost"
}

func (o *Remote) tlsConfig(s server) *tls.Config {
	return &tls.Config{
		ServerName: s.host(), RootCAs: o.Roots, Certificates: o.Certificates, MinVersion: tls.VersionTLS12,
		InsecureSkipVerify: o.TLS == TLSMay, // see TLSMay
	}
}

// Local tells whether all of the servers are on this host.
func (o *Remote) Local() bool {
	for _, s := range o.servers {
		if !s.local() {
			return false
		}
	}
	return true
}

// Name returns the protocol and the addresses.
func (o *Remote) Name() string {
	var list []string
	for _, s := range o.servers {
		list = append(list, s.address)
	}
	if o.LMTP {
		return "lmtp " + strings.Join(list, ",")
	}
	return "smtp " + strings.Join(list, ",")
}
