package netperm_test

import (
	"fmt"
	"log"
	"net/netip"
	"os"
	"path/filepath"

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
	fmt.Println(table.String(netperm.Directory), table.Duration(netperm.Timeout), table.Int(netperm.MaxRecip))
	for _, addr := range []string{"192.0.2.1", "192.0.2.66", "203.0.113.1"} {
		fmt.Printf("%s %+v\n", addr, table.Permit(netperm.Host{Addr: netip.MustParseAddr(addr)}))
	}
	// Output:
	// /var/spool/smap 1h0m0s 1000
	// 192.0.2.1 {Allowed:true Line:6 Rule:permit-hosts 192.0.2.* 2001:db8::/32}
	// 192.0.2.66 {Allowed:false Line:5 Rule:deny-hosts 192.0.2.66}
	// 203.0.113.1 {Allowed:false Line:0 Rule:}
}

// A program loads its table once, logs every error on a line of its own, and
// reports what only it can find out with the line of the clause.
func ExampleLoad() {
	dir, err := os.MkdirTemp("", "") // nobody else can write there
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "netperm-table")
	text := "smap: userid 5\nsmap: directory /var/spool/smap\nsmap: hostname mail.example.com\n" +
		"smap: recipients /etc/smap/recipients\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		log.Fatal(err)
	}

	table, err := netperm.Load(path, "smap")
	for _, err := range netperm.Split(err) {
		log.Print("fwtkcfgerr: ", err)
	}
	if err != nil {
		log.Fatal("the table has errors")
	}
	for _, warning := range table.Warnings() {
		log.Print("warning: ", warning)
	}
	fmt.Println(table.String(netperm.Recipients), table.Has(netperm.TLSCert))
	problem := table.Errorf(netperm.Recipients, "the file is empty")
	fmt.Println(problem.Line, problem.Clause, problem.Reason)
	// Output:
	// /etc/smap/recipients false
	// 4 recipients the file is empty
}

// A table with errors: all of them are reported, in the order of their lines.
func ExampleParse_errors() {
	_, err := netperm.Parse([]byte(`
smapd: directory spool
smapd: wakeup often
smapd: maxchilds 7
`), "netperm-table", netperm.Options{Program: "smapd"})
	for _, err := range netperm.Split(err) {
		fmt.Println(err)
	}
	// Output:
	// netperm-table:2: directory: "spool" is not an absolute path
	// netperm-table:3: wakeup: "often" is not a number of seconds
	// netperm-table:4: maxchilds: unknown clause; did you mean maxchildren?
}

func ExampleParsePattern() {
	pattern, err := netperm.ParsePattern("192.0.2.0/24")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(pattern.Match(netperm.Host{Addr: netip.MustParseAddr("192.0.2.7")}))
	_, err = netperm.ParsePattern("192.0.2.1/24")
	fmt.Println(err)
	// Output:
	// true
	// "192.0.2.1/24" has bits set behind the prefix; did you mean 192.0.2.0/24?
}
