package netperm

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestDomains(t *testing.T) {
	dir := t.TempDir()
	if err := errors.Join(os.Chmod(dir, 0o700), os.WriteFile(filepath.Join(dir, "domains"), []byte("# ours\nFile.example # too\n\n .deep.example\nlast.example"), 0o600)); err != nil {
		t.Fatal(err)
	}
	parse := func(rules string) *Table {
		t.Helper()
		table, err := Parse([]byte("smap: directory /var/spool/smap\n"+rules), "netperm-table", Options{Program: "smap"})
		if err != nil {
			t.Fatal(err)
		}
		return table
	}
	table := parse("smap: local-domains Example.COM .sub.example.com\nsmap: local-domains " + filepath.Join(dir, "domains") + "\n")
	d, err := table.Domains("local-domains", "host.example.com")
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]bool{
		"example.com": true, "sub.example.com": true, "a.sub.example.com": true, "a.b.sub.example.com": true,
		"file.example": true, "deep.example": true, "x.deep.example": true, "last.example": true,
		"host.example.com": false, "xsub.example.com": false, "a.example.com": false, "x.file.example": false,
		"example": false, "": false, "ours": false, "too": false, "com": false, ".deep.example": true,
	} {
		if d.Contain(domain) != want {
			t.Errorf("Contain(%q) is not %v", domain, want)
		}
	}
	d, err = parse("smap: local-domains mail.example kelvin.example BÜCHER.example\n").Domains("local-domains", "")
	if err != nil {
		t.Fatal(err)
	}
	for domain, want := range map[string]bool{
		"MAIL.Example": true, "bücher.example": true, "BÜCHER.EXAMPLE": true,
		// Other domains, that somebody else can have, of which some are ours to who
		// folds Unicode's capitals.
		"maİl.example": false, "\u212Aelvin.example": false, "maıl.example": false,
	} {
		if d.Contain(domain) != want {
			t.Errorf("Contain(%q) is not %v", domain, want)
		}
	}
	if d, err = parse("").Domains("local-domains", "Host.Example.com"); err != nil || !d.Contain("host.example.com") || d.Contain("example.com") {
		t.Errorf("without the clause: %+v, %v", d, err)
	}
	_, err = parse("smap: local-domains "+filepath.Join(dir, "nowhere")+"\n").Domains("local-domains", "x")
	var e *Error
	if !errors.As(err, &e) || e.Line != 2 || e.Clause != "local-domains" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
