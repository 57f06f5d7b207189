package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"smap/netperm"
)

// TestCertificateTime: a certificate that has expired, that will soon, and that is
// not valid yet.
func TestCertificateTime(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	cert, key := filepath.Join(dir, "cert"), filepath.Join(dir, "key")
	if err := errors.Join(writeCertificate(cert, key, "mx.example.com"), os.Chmod(key, 0o600)); err != nil {
		t.Fatal(err)
	}
	table, err := netperm.Parse([]byte("smap: directory /d\nsmap: tls-cert "+cert+"\nsmap: tls-key "+key+"\n"), "t", netperm.Options{Program: "smap"})
	if err != nil {
		t.Fatal(err)
	}
	for when, want := range map[time.Duration]string{
		20 * 365 * 24 * time.Hour:  "tls-cert: the certificate expired on 2",
		-20 * 365 * 24 * time.Hour: "tls-cert: the certificate is valid only from 2",
	} {
		c := checks{t: table, now: time.Now().Add(when)}
		c.certificate("mx.example.com")
		if len(c.warnings) != 1 || !strings.Contains(c.warnings[0].Error(), want) || len(c.notes) != 1 {
			t.Errorf("%v from now: %v, want %s", when, c.warnings, want)
		}
	}
}

// TestSpoolError: in the jail the spool is /, which a person does not know.
func TestSpoolError(t *testing.T) {
	err := spoolError("/var/spool/smap", "/", fmt.Errorf("spool /: tmp: %w", unix.EACCES))
	if got := err.Error(); strings.Contains(got, "spool /:") || !strings.HasPrefix(got, "/var/spool/smap/tmp: permission denied;") || !errors.Is(err, os.ErrPermission) ||
		!strings.HasSuffix(got, "; smap -t shows what is wrong, and the command that mends it") {
		t.Errorf("%q", got)
	}
}
