package netperm_test

import (
	"fmt"
	"net/netip"

	"smap/netperm"
)

func Example() {
	table, err := netperm.Parse([]byte(`
smap, smapd: userid 5
smap, smapd: directory /var/spool/smap
smap:        timeout 3600
smap:        deny-hosts 192.0.2.66
smap:        permit-hosts 192.0.2.* 2001:db8::/32
`), "netperm-table", netperm.Options{Program: "smap"})
	for _, err := range netperm.Split(err) {
		fmt.Println("fwtkcfgerr:", err)
	}
	fmt.Println(table.String("directory"), table.Duration("timeout"), table.Int("maxrecip"))
	for _, addr := range []string{"192.0.2.1", "192.0.2.66", "203.0.113.1"} {
		fmt.Printf("%s %+v\n", addr, table.Permit(netperm.Host{Addr: netip.MustParseAddr(addr)}))
	}
	// Output:
	// /var/spool/smap 1h0m0s 1000
	// 192.0.2.1 {Allowed:true Line:6 Rule:permit-hosts 192.0.2.* 2001:db8::/32}
	// 192.0.2.66 {Allowed:false Line:5 Rule:deny-hosts 192.0.2.66}
	// 203.0.113.1 {Allowed:false Line:0 Rule:}
}
