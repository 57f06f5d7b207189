package agent

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"syscall"
)

// proxyHeader is the PROXY protocol's header, version 2, that tells a server the
// client's address: so it can check strangers as if they had come to it. A message
// that came from no client is announced as the sender's own.
func proxyHeader(client string, to net.Addr) []byte {
	head := []byte("\r\n\r\n\x00\r\nQUIT\n")
	from, err := netip.ParseAddr(client)
	if err != nil {
		return append(head, 0x20, 0, 0, 0) // LOCAL
	}
	from = from.Unmap().WithZone("")
	dst := netip.AddrPort{}
	if t, ok := to.(*net.TCPAddr); ok {
		dst = t.AddrPort()
	}
	at := dst.Addr().Unmap().WithZone("")
	if !at.IsValid() {
		at = netip.IPv4Unspecified()
	}
	family := byte(0x11) // TCP over IPv4
	if from.Is6() || at.Is6() {
		family = 0x21
		from, at = netip.AddrFrom16(from.As16()), netip.AddrFrom16(at.As16())
	}
	body := append(from.AsSlice(), at.AsSlice()...)
	body = append(body, 0, 0) // the client's port is not known
	body = binary.BigEndian.AppendUint16(body, dst.Port())
	head = append(head, 0x21, family)
	head = binary.BigEndian.AppendUint16(head, uint16(len(body)))
	return append(head, body...)
}

// clientKey names a client for Keys: its address or, since one host usually has all
// addresses of it, its IPv6 /64. It is empty where proxyHeader names no client.
func clientKey(client string) string {
	from, err := netip.ParseAddr(client)
	if err != nil {
		return ""
	}
	from = from.Unmap().WithZone("")
	bits := from.BitLen()
	if from.Is6() {
		bits = 64
	}
	p, _ := from.Prefix(bits) // these lengths always fit
	return "client " + p.String()
}

// A clientError is a server's refusal of the client that we named: it is about one
// message, and other mail goes on.
type clientError struct {
	err    error
	result Result
}

func (e *clientError) Error() string { return e.err.Error() }

// Unwrap returns the reason.
func (e *clientError) Unwrap() error { return e.err }

// ofClient tells whether an error is about the client: the PROXY header named it, and
// then the server refused, hung up or fell silent. Code 421 is about the server.
func (c *smtpConn) ofClient(err error) error {
	if _, bad := netip.ParseAddr(c.from); !c.opt.Proxy || bad != nil {
		return err
	}
	var refused *replyError
	switch {
	case errors.As(err, &refused) && refused.reply.code != 421:
		r := c.refusal(refused.command, refused.reply)
		r.Outcome = Retry // the server may greet everybody like that
		return &clientError{err, r}
	case turnedAway(err):
		return &clientError{err, turnAway(err)}
	}
	return err
}

// turnedAway tells whether the server has closed the connection, or says nothing any more:
// some make a client wait that they do not trust.
func turnedAway(err error) bool {
	for _, e := range []error{io.EOF, syscall.ECONNRESET, syscall.EPIPE, os.ErrDeadlineExceeded} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// turnAway is the result of a server that did so when it heard who the client is.
func turnAway(err error) Result {
	return Result{Text: "the server ended the session, or fell silent, when it heard of the client: " + err.Error()}
}
