package receiver

import (
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"
)

// A Config is what sessions share. It does not change while they run. The zero
// value of a limit means none.
type Config struct {
	Hostname string // in the greeting and in Received
	Spool    Spool
	Log      *slog.Logger

	GreetDelay time.Duration // before the greeting; a client that talks earlier is refused
	Timeout    time.Duration // for one command line, and between octets of content
	MaxBytes   int64         // of a content
	MaxRecip   int           // recipients of a message
	MaxErrors  int           // bad commands before 421
	MinFree    uint64        // octets that must stay free
	Reserved   *atomic.Int64 // octets of messages on their way; shared by all sessions of a process
	MinRate    int64         // octets of content per second
	OfferDSN   bool          // the drainer honours RFC 3461
	OfferUTF8  bool          // the drainer honours RFC 6531
	RequireTLS bool
	// StartTLS makes a connection secure; nil when TLS is not configured.
	StartTLS func(Conn) (Conn, TLS, error)

	// Local tells whether recipients of a domain, in whatever case, are accepted
	// from anyone.
	Local func(domain string) bool
	// Known starts the look-ups of one session: the function that it returns tells
	// whether a local recipient exists. nil knows all.
	Known func() func(address string) (bool, error)
	Now   func() time.Time
}

// TLS describes a secure connection.
type TLS struct {
	Version string // "TLSv1.3"
	Cipher  string // "TLS_AES_128_GCM_SHA256"
}

// String returns both, as Received lines and envelopes have them.
func (t TLS) String() string { return t.Version + " with cipher " + t.Cipher }

// A Client is the other end of a connection.
type Client struct {
	Addr  netip.Addr // invalid when the connection is not from the network
	Name  string     // verified reverse name, or empty
	Ident string     // what its ident server says, or empty
	Relay bool       // it may send to any domain
	// Lenient is set for a host whose lines may end in LF or CR CR LF.
	Lenient bool
}

// address is the client in logs and envelopes.
func (c Client) address() string {
	if !c.Addr.IsValid() {
		return "local"
	}
	return c.Addr.Unmap().WithZone("").String()
}

// literal is the client's address in a Received line: RFC 5321 4.1.3.
func (c Client) literal() string {
	switch {
	case !c.Addr.IsValid():
		return "[local]"
	case c.Addr.Unmap().Is6():
		return "[IPv6:" + c.address() + "]"
	}
	return "[" + c.address() + "]"
}
