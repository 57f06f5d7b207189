package proxyproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net/netip"
	"strings"
	"testing"
	"testing/iotest"
)

// v2 makes a header of version 2.
func v2(command, family byte, length int, rest ...byte) string {
	b := append([]byte(signature), command, family)
	return string(append(binary.BigEndian.AppendUint16(b, uint16(length)), rest...))
}

func TestRead(t *testing.T) {
	four := []byte{192, 0, 2, 1, 192, 0, 2, 25, 0x12, 0x67, 0, 25}
	ip := netip.MustParseAddr
	six := func(a, b string) []byte {
		x, y := ip(a).As16(), ip(b).As16()
		return append(append(append([]byte{}, x[:]...), y[:]...), 0x12, 0x67, 0, 25)
	}
	tlvs := bytes.Repeat([]byte{4, 0, 1, 0}, 16000)
	for _, c := range []struct{ name, header, client, server string }{
		{"v1", "PROXY TCP4 192.0.2.1 192.0.2.25 4711 25\r\n", "192.0.2.1:4711", "192.0.2.25:25"},
		{"v1 zero port", "PROXY TCP4 192.0.2.1 192.0.2.25 0 25\r\n", "192.0.2.1:0", "192.0.2.25:25"},
		{"v1 IPv6", "PROXY TCP6 2001:db8::1 2001:db8::25 4711 25\r\n", "[2001:db8::1]:4711", "[2001:db8::25]:25"},
		{"v1 longest", "PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe 65535 65535\r\n",
			"[ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff]:65535", "[ffff:ffff:ffff:ffff:ffff:ffff:ffff:fffe]:65535"},
		{"v1 mapped", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:192.0.2.25 4711 25\r\n", "192.0.2.1:4711", "192.0.2.25:25"},
		{"v1 unknown", "PROXY UNKNOWN\r\n", "", ""},
		{"v1 unknown with more", "PROXY UNKNOWN ffff::1 any thing\r\n", "", ""},
		{"v2", v2(0x21, 0x11, 12, four...), "192.0.2.1:4711", "192.0.2.25:25"},
		{"v2 with TLVs", v2(0x21, 0x11, 12+len(tlvs), append(bytes.Clone(four), tlvs...)...), "192.0.2.1:4711", "192.0.2.25:25"},
		{"v2 IPv6", v2(0x21, 0x21, 36, six("2001:db8::1", "2001:db8::25")...), "[2001:db8::1]:4711", "[2001:db8::25]:25"},
		{"v2 mapped", v2(0x21, 0x21, 36, six("::ffff:192.0.2.1", "::ffff:192.0.2.25")...), "192.0.2.1:4711", "192.0.2.25:25"},
		{"v2 local", v2(0x20, 0, 0), "", ""},
		{"v2 local with addresses", v2(0x20, 0x11, 12, four...), "", ""},
	} {
		// Whole and octet by octet.
		for _, slow := range []func(io.Reader) io.Reader{iotest.OneByteReader, iotest.DataErrReader} {
			rest := strings.NewReader(c.header + "EHLO x\r\n")
			client, server, err := Read(slow(rest))
			if err != nil {
				t.Errorf("%s: %v", c.name, err)
				continue
			}
			text := func(a netip.AddrPort) string {
				if !a.IsValid() {
					return ""
				}
				return a.String()
			}
			if text(client) != c.client || text(server) != c.server {
				t.Errorf("%s: %v to %v", c.name, client, server)
			}
		}
		// Nothing of what follows is taken.
		exact := strings.NewReader(c.header + "EHLO x\r\n")
		if _, _, err := Read(exact); err != nil || exact.Len() != len("EHLO x\r\n") {
			t.Errorf("%s: %d octets are left, %v", c.name, exact.Len(), err)
		}
		// Every beginning of it is an error.
		for n := range min(len(c.header)-1, 200) {
			if _, _, err := Read(strings.NewReader(c.header[:n])); err == nil {
				t.Errorf("%s: %d octets of it are enough", c.name, n)
			}
		}
	}
}

func TestMalformed(t *testing.T) {
	four := []byte{192, 0, 2, 1, 192, 0, 2, 25, 0x12, 0x67, 0, 25}
	for _, header := range []string{
		"EHLO client.example.com\r\n",
		"proxy TCP4 192.0.2.1 192.0.2.25 4711 25\r\n",
		"PROXYTCP4 192.0.2.1 192.0.2.25 4711 25\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.25 4711 25\n",
		"PROXY TCP4 192.0.2.1 192.0.2.25 4711\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.25 4711 25 \r\n",
		"PROXY TCP4  192.0.2.1 192.0.2.25 4711 25\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.25 4711 65536\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.25 04711 25\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.25 -1 25\r\n",
		"PROXY TCP4 192.0.2.1 192.0.2.25 +1 25\r\n",
		"PROXY TCP4 192.0.2.256 192.0.2.25 4711 25\r\n",
		"PROXY TCP4 2001:db8::1 2001:db8::25 4711 25\r\n",
		"PROXY TCP6 192.0.2.1 192.0.2.25 4711 25\r\n",
		"PROXY TCP6 fe80::1%eth0 2001:db8::25 4711 25\r\n",
		"PROXY UDP4 192.0.2.1 192.0.2.25 4711 25\r\n",
		"PROXY UNKNOWN\n        ",
		"PROXY UNKNOWN " + strings.Repeat("x", 200) + "\r\n",
		v2(0x11, 0x11, 12, four...),               // version 1 in binary
		v2(0x22, 0x11, 12, four...),               // no such command
		v2(0x21, 0x12, 12, four...),               // UDP
		v2(0x21, 0x31, 216, make([]byte, 216)...), // a local socket
		v2(0x21, 0x00, 0),
		v2(0x21, 0x11, 11, four[:11]...),
		v2(0x21, 0x21, 12, four...),
	} {
		if _, _, err := Read(strings.NewReader(header)); !errors.Is(err, ErrHeader) {
			t.Errorf("%q: %v", header, err)
		}
	}
}

// Whatever comes, reading ends, takes no more than a header can have, and an
// address is never half.
func FuzzRead(f *testing.F) {
	f.Add([]byte("PROXY TCP4 192.0.2.1 192.0.2.25 4711 25\r\n"))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Add([]byte(v2(0x21, 0x11, 12, 192, 0, 2, 1, 192, 0, 2, 25, 1, 1, 0, 25)))
	f.Add([]byte(v2(0x20, 0, 3, 1, 2, 3)))
	f.Fuzz(func(t *testing.T, data []byte) {
		in := bytes.NewReader(data)
		client, server, err := Read(in)
		if taken := len(data) - in.Len(); taken > 16+65535 {
			t.Errorf("%d octets taken", taken)
		}
		if client.IsValid() != server.IsValid() && err == nil || client.Addr().Is4In6() {
			t.Errorf("%v to %v", client, server)
		}
	})
}
