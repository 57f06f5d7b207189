package netperm

import (
	"fmt"
	"strings"
	"testing"
)

// bigTable is a table as a busy firewall might have: 200 rules, half of them
// for other programs.
func bigTable() []byte {
	var b strings.Builder
	b.WriteString("# a table of 200 rules\nsmap, smapd: userid 5\nsmap, smapd: directory /var/spool/smap\nsmap: timeout 3600\n")
	b.WriteString("smap: names yes\n")
	for i := range 98 {
		fmt.Fprintf(&b, "netacl-in.telnetd: permit-hosts 10.%d.* -exec \"/usr/local/etc/tn-gw\"\n", i)
		switch i % 3 {
		case 0:
			fmt.Fprintf(&b, "smap:\tdeny-hosts 192.0.2.%d 198.51.%d.* # comment\n", i, i)
		case 1:
			fmt.Fprintf(&b, "smap:\tpermit-hosts *.dept%d.example.com 2001:db8:%d::/48\n", i, i)
		default:
			fmt.Fprintf(&b, "smap: local-domains d%d.example.com .d%d.example.net\n", i, i)
		}
	}
	return []byte(b.String())
}

func BenchmarkParse200(b *testing.B) {
	data := bigTable()
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Parse(data, "netperm-table", Options{Program: "smap", Root: true}); err != nil {
			b.Fatal(err)
		}
	}
}
