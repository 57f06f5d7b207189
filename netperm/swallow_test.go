package netperm

import (
	"net/netip"
	"testing"
)

// TestNothingSwallows has rules of other programs that cannot be read, each with
// a comment that ends in a backslash. The rule below is ours and must count.
func TestNothingSwallows(t *testing.T) {
	for _, other := range []string{
		`http-gw: x \y # c \`,
		`http-gw: x "\y" # c \`,
		`http-gw: x # c \`,
		"http-gw: \x01\r # c \\",
	} {
		table, err := Parse([]byte("smap: directory /var/spool/smap\n"+other+"\nsmap: deny-hosts *\n"), "netperm-table", Options{Program: "smap"})
		if err == nil && table.Permit(Host{Addr: netip.MustParseAddr("192.0.2.1")}).Allowed {
			t.Errorf("%q swallowed the rule below it", other)
		}
	}
}
