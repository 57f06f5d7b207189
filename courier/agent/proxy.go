package agent

import (
	"encoding/binary"
	"net"
	"net/netip"
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
