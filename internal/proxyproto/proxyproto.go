// Package proxyproto reads what a load balancer says of a connection before the
// connection's own octets: the PROXY protocol, versions 1 and 2.
//
// By hand, because the library for it is twenty times as long, and because all
// that there is to it is one line, or 16 octets and the addresses.
package proxyproto

import (
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strconv"
	"strings"
)

// maxLine is the longest header of version 1.
const maxLine = 107

// signature begins a header of version 2.
const signature = "\r\n\r\n\x00\r\nQUIT\n"

// ErrHeader is returned for anything that is not a header of version 1 or 2 for
// TCP over IPv4 or IPv6.
var ErrHeader = errors.New("no PROXY header, or a malformed one")

// Read reads a header, at most 64 KiB, and not an octet more, so that what a client
// sends before our greeting can be seen to be early. Both addresses are invalid
// when the balancer speaks for itself (LOCAL), or does not know (UNKNOWN). The
// caller bounds the time: a header comes in one packet.
func Read(conn io.Reader) (client, server netip.AddrPort, err error) {
	head := make([]byte, len(signature), maxLine)
	if _, err = io.ReadFull(conn, head); err != nil {
		return client, server, err
	}
	if string(head) == signature {
		return readBinary(conn)
	}
	if !strings.HasPrefix(string(head), "PROXY ") {
		return client, server, ErrHeader
	}
	for head[len(head)-1] != '\n' {
		if len(head) == maxLine {
			return client, server, ErrHeader
		}
		if _, err = io.ReadFull(conn, head[len(head):len(head)+1]); err != nil {
			return client, server, err
		}
		head = head[:len(head)+1]
	}
	return parseLine(string(head))
}

// parseLine parses version 1: "PROXY TCP4 CLIENT SERVER PORT PORT" CRLF.
func parseLine(line string) (client, server netip.AddrPort, err error) {
	line, ok := strings.CutSuffix(line, "\r\n")
	word := strings.Split(line, " ")
	if ok && word[1] == "UNKNOWN" {
		return client, server, nil
	}
	if !ok || len(word) != 6 || word[1] != "TCP4" && word[1] != "TCP6" {
		return client, server, ErrHeader
	}
	var at [2]netip.AddrPort
	for i := range at {
		addr, aerr := netip.ParseAddr(word[2+i])
		port, perr := strconv.ParseUint(word[4+i], 10, 16)
		if aerr != nil || perr != nil || addr.Zone() != "" || addr.Is4() != (word[1] == "TCP4") || strconv.FormatUint(port, 10) != word[4+i] {
			return client, server, ErrHeader
		}
		at[i] = netip.AddrPortFrom(addr.Unmap(), uint16(port))
	}
	return at[0], at[1], nil
}

// readBinary reads version 2 after its signature. What follows the addresses,
// up to the length that the header gives, is skipped.
func readBinary(conn io.Reader) (client, server netip.AddrPort, err error) {
	var head [4]byte // version and command, family and protocol, length
	if _, err = io.ReadFull(conn, head[:]); err != nil {
		return client, server, err
	}
	size := map[byte]int{0x11: 4, 0x21: 16}[head[1]] // of an address, for TCP over IPv4 and IPv6
	length := int64(binary.BigEndian.Uint16(head[2:]))
	local := head[0] == 0x20
	if head[0] != 0x21 && !local || !local && (size == 0 || length < int64(2*size+4)) {
		return client, server, ErrHeader
	}
	if !local {
		b := make([]byte, 2*size+4)
		if _, err = io.ReadFull(conn, b); err != nil {
			return client, server, err
		}
		from, _ := netip.AddrFromSlice(b[:size])
		to, _ := netip.AddrFromSlice(b[size : 2*size])
		client = netip.AddrPortFrom(from.Unmap(), binary.BigEndian.Uint16(b[2*size:]))
		server = netip.AddrPortFrom(to.Unmap(), binary.BigEndian.Uint16(b[2*size+2:]))
		length -= int64(len(b))
	}
	_, err = io.CopyN(io.Discard, conn, length)
	return client, server, err
}
