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

// proxyTime is how long a load balancer may take to send its header, which comes
// in one packet.
const proxyTime = 5 * time.Second

// A visitor is a connection before we know who it is.
type visitor struct {
	conn  receiver.Conn
	peer  netip.AddrPort        // invalid when it is not from the network
	local func() netip.AddrPort // our end
}

func visitorOn(fd int, peer unix.Sockaddr, conn receiver.Conn) visitor {
	return visitor{conn: conn, peer: sockets.Address(peer), local: func() netip.AddrPort { return sockets.Local(fd) }}
}

// meet finds out who has come, and serves it if it may be served. room counts
// the sessions of one client; nil counts none.
func (s *setup) meet(ctx context.Context, v visitor, room *limiter) {
	if !s.behindProxy(&v) {
		return
	}
	if room != nil {
		done, ok := room.client(v.peer.Addr())
		if !ok {
			s.turnAway(v, "maxperclient", room)
			return
		}
		defer done()
	}
	client := receiver.Client{Addr: v.peer.Addr()}
	if s.lookup != nil && v.peer.IsValid() {
		facts, err := s.lookup.Ask(lookup.Question{Client: v.peer, Server: v.local(), Name: s.table.Bool(netperm.Names), Ident: s.table.Bool(netperm.Ident)})
		if err != nil {
			s.config.Log.Error("fwtksyserr: lookup", "error", err)
			s.lookupLost()
		}
		client.Name, client.Ident = facts.Name, facts.Ident
	}
	if !s.admit(&client) {
		s.config.Log.Warn("securityalert: deny", "client", client.Addr.String(), "name", client.Name)
		say(v.conn, receiver.Denied(s.config.Hostname))
	} else if !receiver.Serve(ctx, s.config, client, v.conn) {
		return
	}
	linger(v.conn)
}

// behindProxy puts the client in the place of a load balancer that the table
// trusts. Others that send a PROXY header talk before their turn.
func (s *setup) behindProxy(v *visitor) bool {
	if !v.peer.IsValid() || !s.table.Match(netperm.ProxyHosts, netperm.Host{Addr: v.peer.Addr()}) {
		return true
	}
	_ = v.conn.SetReadDeadline(time.Now().Add(proxyTime)) // a connection without deadlines has no peer
	client, server, err := proxyproto.Read(v.conn)
	if err != nil {
		s.config.Log.Warn("proxy", "host", v.peer.Addr().String(), "error", err)
		sayUnavailable(v.conn, s.config.Hostname)
		linger(v.conn)
		return false
	}
	if client.IsValid() {
		s.config.Log.Info("proxy", "host", v.peer.Addr().String(), "client", client.Addr().String())
		v.peer, v.local = client, func() netip.AddrPort { return server }
	}
	return true
}

// turnAway tells a client to come again when there is more room.
func (s *setup) turnAway(v visitor, limit string, room *limiter) {
	if n, say := room.wasRefused(time.Now()); say {
		s.config.Log.Warn("busy", "client", v.peer.Addr().String(), "limit", limit, "refused", n)
	}
	sayUnavailable(v.conn, s.config.Hostname)
}

// admit tells whether a client may talk to us at all, and whether it may relay.
func (s *setup) admit(c *receiver.Client) bool {
	if !c.Addr.IsValid() { // a person at a terminal, or a pipe
		return true
	}
	host := netperm.Host{Addr: c.Addr, Name: c.Name}
	// A balancer that does not say for whom it speaks may speak for a stranger.
	c.Relay = s.table.Match(netperm.RelayHosts, host) && !s.table.Match(netperm.ProxyHosts, netperm.Host{Addr: c.Addr})
	c.Lenient = s.table.Match(netperm.LenientHosts, host)
	return s.table.Permit(host).Allowed
}
