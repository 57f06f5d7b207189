package main

import (
	"net/netip"
	"testing"

	"smap/netperm"
	"smap/receiver"
)

// TestBalancerMayNotRelay has a load balancer in a network that may relay. For a
// client that it does not know, it says UNKNOWN, and stands there itself.
func TestBalancerMayNotRelay(t *testing.T) {
	table, err := netperm.Parse([]byte("smap: directory /var/spool/smap\nsmap: proxy-hosts 192.0.2.5\nsmap: relay-hosts 192.0.2.*\n"),
		"netperm-table", netperm.Options{Program: "smap"})
	if err != nil {
		t.Fatal(err)
	}
	s := &setup{table: table}
	for addr, relay := range map[string]bool{"192.0.2.5": false, "192.0.2.6": true, "198.51.100.1": false} {
		c := receiver.Client{Addr: netip.MustParseAddr(addr)}
		if !s.admit(&c) || c.Relay != relay {
			t.Errorf("%+v", c)
		}
	}
}
