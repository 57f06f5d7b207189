package netperm

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
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
	d, err := table.Domains(LocalDomains, "host.example.com")
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
	d, err = parse("smap: local-domains mail.example kelvin.example BÜCHER.example\n").Domains(LocalDomains, "")
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
	if d, err = parse("").Domains(LocalDomains, "Host.Example.com"); err != nil || !d.Contain("host.example.com") || d.Contain("example.com") {
		t.Errorf("without the clause: %+v, %v", d, err)
	}
	_, err = parse("smap: local-domains "+filepath.Join(dir, "nowhere")+"\n").Domains(LocalDomains, "x")
	var e *Error
	if !errors.As(err, &e) || e.Line != 2 || e.Clause != "local-domains" || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}

// TestDomainsInFile has lines that cannot match anything: who wrote them would wait for mail that is refused.
func TestDomainsInFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "domains")
	if err := os.Chmod(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	table, err := Parse([]byte("smap: directory /var/spool/smap\nsmap: local-domains "+path+"\n"), "netperm-table", Options{Program: "smap"})
	if err != nil {
		t.Fatal(err)
	}
	for line, good := range map[string]bool{
		"example.com": true, ".example.com\r": true, "[192.0.2.1]": true, "example.com example.net": false, "ann@example.com": false,
		"*.example.com": false, "example..com": false, "example.com.": false, ".": false, "a\x00b": false, "example.com, # ours": false,
	} {
		if err := os.WriteFile(path, []byte("first.example\n"+line+"\nlast.example\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := table.Domains(LocalDomains, "")
		if (err == nil) != good || err != nil && !strings.Contains(err.Error(), path+":2: ") {
			t.Errorf("%q: %v", line, err)
		}
	}
}
