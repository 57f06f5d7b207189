package main

import (
	"context"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/lookup"
	"smap/internal/proxyproto"
	"smap/internal/sockets"
	"smap/netperm"
	"smap/receiver"
)

// proxyTime is how long a load balancer can take to send its header, which fits
// into one packet.
const proxyTime = 5 * time.Second

// A visitor is a connection whose client is not known yet.
type visitor struct {
	conn  receiver.Conn
	peer  netip.AddrPort        // invalid if it is not from the network
	local func() netip.AddrPort // our address
}

func visitorOn(fd int, peer unix.Sockaddr, conn receiver.Conn) visitor {
	return visitor{conn: conn, peer: sockets.Address(peer), local: func() netip.AddrPort { return sockets.Local(fd) }}
}

// The names of limits in the log.
const (
	limitSessions = "maxsessions"
	limitClient   = "maxperclient"
)

// reserved is how many sessions above maxsessions are kept for relay-hosts. So
// strangers cannot block mail from our own hosts.
const reserved = 16

// meet identifies the client, and serves it if the table allows that. count counts
// the sessions of one client; if it is nil, meet does not count.
func (s *setup) meet(ctx context.Context, v visitor, count func(netip.Addr) (done func(), ok bool)) {
	if !s.behindProxy(&v) {
		return
	}
	if count != nil {
		done, ok := count(v.peer.Addr())
		if !ok {
			s.turnAway(v, limitClient)
			return
		}
		defer done()
	}
	client := receiver.Client{Addr: v.peer.Addr()}
	if s.lookup != nil && v.peer.IsValid() {
		answer, err := s.lookup.Ask(lookup.Question{Client: v.peer, Server: v.local(), Name: s.table.Bool(netperm.Names), Ident: s.table.Bool(netperm.Ident)})
		if err != nil {
			s.config.Log.Error(eventLookup, "error", err)
			s.lookupLost()
		}
		client.Name, client.Ident = answer.Name, answer.Ident
	}
	if !s.admit(&client) {
		s.deny(v, client.Name)
	} else if !receiver.Serve(ctx, s.config, client, v.conn) {
		return
	}
	linger(v.conn)
}

// denied tells whether the table refuses a client by its address alone. If so, it
// sends the reply. Such a client takes no session and no look-up.
func (s *setup) denied(v visitor) bool {
	if !v.peer.IsValid() || s.isProxy(v) || !s.table.Denied(v.peer.Addr()) {
		return false
	}
	s.deny(v, "")
	return true
}

func (s *setup) deny(v visitor, name string) {
	s.config.Log.Warn(eventDeny, "client", v.peer.Addr().String(), "name", name)
	say(v.conn, receiver.Denied(s.config.Hostname))
}

// isProxy tells whether the connection comes from a host in proxy-hosts.
func (s *setup) isProxy(v visitor) bool {
	return v.peer.IsValid() && s.table.Match(netperm.ProxyHosts, netperm.Host{Addr: v.peer.Addr()})
}

// isRelay tells whether the address is in relay-hosts. It does not look up a name.
func (s *setup) isRelay(v visitor) bool {
	return v.peer.IsValid() && s.table.Match(netperm.RelayHosts, netperm.Host{Addr: v.peer.Addr()})
}

// behindProxy reads the PROXY header of a host in proxy-hosts, and replaces the
// address in v by that of the client. It returns false after a wrong header. From
// other hosts, a PROXY header counts as an attack in the session.
func (s *setup) behindProxy(v *visitor) bool {
	if !s.isProxy(*v) {
		return true
	}
	_ = v.conn.SetReadDeadline(time.Now().Add(proxyTime)) // it cannot fail: every connection from the network has deadlines
	client, server, err := proxyproto.Read(v.conn)
	if err != nil {
		s.config.Log.Warn(eventProxy, "host", v.peer.Addr().String(), "error", err)
		sayUnavailable(v.conn, s.config.Hostname)
		linger(v.conn)
		return false
	}
	if client.IsValid() {
		s.config.Log.Info(eventProxy, "host", v.peer.Addr().String(), "client", client.Addr().String())
		v.peer, v.local = client, func() netip.AddrPort { return server }
	}
	return true
}

// turnAway sends a client 421 because of a limit, and logs that.
func (s *setup) turnAway(v visitor, limit string) {
	n, log := 1, true
	if s.wasRefused != nil {
		n, log = s.wasRefused(time.Now())
	}
	if log {
		s.config.Log.Warn(eventBusy, "client", v.peer.Addr().String(), "limit", limit, "refused", n)
	}
	sayUnavailable(v.conn, s.config.Hostname)
}

// admit tells whether the table permits a client. It sets whether the client can
// relay, and whether its lines can end without CR.
func (s *setup) admit(c *receiver.Client) bool {
	if !c.Addr.IsValid() { // a person at a terminal, or a pipe
		return true
	}
	host := netperm.Host{Addr: c.Addr, Name: c.Name}
	// A load balancer that did not name its client cannot relay: the client can be a
	// stranger.
	c.Relay = s.table.Match(netperm.RelayHosts, host) && !s.table.Match(netperm.ProxyHosts, netperm.Host{Addr: c.Addr})
	c.Lenient = s.table.Match(netperm.LenientHosts, host)
	return s.table.Permit(host).Allowed
}
