package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/eventlog"
	"smap/netperm"
	"smap/spoolfmt"
)

// checks are the checks of -t that look beyond the table: will smap fail, and is
// anything unsafe?
type checks struct {
	t        *netperm.Table
	uid, gid int
	now      time.Time
	errors   []*netperm.Error
	warnings []*netperm.Error
	notes    []string // for standard output
}

func (c *checks) fail(clause netperm.Clause, format string, args ...any) {
	c.errors = append(c.errors, c.t.Errorf(clause, format, args...))
}

func (c *checks) warn(clause netperm.Clause, format string, args ...any) {
	c.warnings = append(c.warnings, c.t.Errorf(clause, format, args...))
}

// all runs the checks for the user that smap will run as, and prints the warnings.
func (c *checks) all() (err error) {
	if c.uid, c.gid, err = c.t.Identity(); err != nil {
		return err
	}
	if c.uid < 0 || os.Geteuid() != 0 {
		c.uid, c.gid = os.Geteuid(), os.Getegid()
	}
	hostname := c.t.String(netperm.Hostname)
	if hostname == "" {
		if hostname, err = os.Hostname(); err != nil {
			return c.t.Errorf(netperm.Hostname, "%w; set one in the table", err)
		}
	}
	c.run(hostname)
	for _, w := range c.warnings {
		fmt.Fprintln(os.Stderr, "smap: warning:", w)
	}
	if len(c.errors) > 0 {
		return netperm.Errors(c.errors)
	}
	return nil
}

// run runs all checks. hostname is the name that smap will use.
func (c *checks) run(hostname string) {
	c.spool()
	c.logs()
	c.metricsFile()
	c.certificate(hostname)
	if domains, err := c.t.Domains(netperm.LocalDomains, hostname); err == nil && !domains.Contain(hostname) {
		c.warn(netperm.LocalDomains, "%s, the host's own name, is not among them: mail for postmaster@%s is refused", hostname, hostname)
	}
}

// metricsFile checks that the directory of the metrics file is writable.
func (c *checks) metricsFile() {
	path := c.t.String(netperm.SmapMetrics)
	if path == "" {
		return
	}
	dir := filepath.Dir(path)
	switch err := unix.Access(dir, unix.W_OK); {
	case errors.Is(err, unix.EROFS):
		c.warn(netperm.SmapMetrics, "%s: %w; under systemd, ReadWritePaths= must name it (systemctl edit smap.service)", dir, err)
	case err != nil:
		c.warn(netperm.SmapMetrics, "%s: %w; the file will not be written", dir, err)
	}
}

// spool checks the two boxes that smap writes into.
func (c *checks) spool() {
	dir := c.t.String(netperm.Directory)
	top, err := os.Stat(dir)
	if err != nil || !top.IsDir() {
		return // Table.Spoolless warns about it
	}
	shared := top.Mode().Perm() == spoolfmt.SharedMode
	for _, box := range []spoolfmt.Box{spoolfmt.Tmp, spoolfmt.New} {
		path := filepath.Join(dir, box.String())
		err := netperm.CanWrite(path, c.uid, c.gid)
		switch {
		case errors.Is(err, unix.EROFS):
			c.fail(netperm.Directory, "%w; under systemd, ReadWritePaths= must name %s (systemctl edit smap.service)", err, dir)
			continue
		case errors.Is(err, fs.ErrNotExist) && netperm.CanWrite(dir, c.uid, c.gid) == nil:
			continue // smap makes it
		case errors.Is(err, fs.ErrNotExist):
			c.fail(netperm.Directory, "%s does not exist; %s", path, c.mend(shared))
			continue
		case err != nil:
			c.fail(netperm.Directory, "%w; %s", err, c.mend(shared))
			continue
		}
		var st unix.Stat_t
		if unix.Stat(path, &st) == nil && uint32(st.Mode)&0o7777 != spoolfmt.BoxMode(box, shared) {
			c.warn(netperm.Directory, "%s has mode %04o, not %04o; %s", path, uint32(st.Mode)&0o7777, spoolfmt.BoxMode(box, shared), c.mend(shared))
		}
	}
}

// mend names the smapq command that sets the owner and the modes of the spool.
func (c *checks) mend(shared bool) string {
	command := "smapq -d " + c.t.String(netperm.Directory) + " init"
	if shared || c.t.Has(netperm.UserID) {
		command += " --user smapd --group smapfeed"
	}
	return command + " mends that"
}

// logs checks that a syslog daemon listens, unless the log is stderr.
func (c *checks) logs() {
	if c.t.String(netperm.Log) == "stderr" {
		return
	}
	_, closer, err := eventlog.Open("syslog", "smap")
	if err == nil {
		_ = closer.Close() // nothing was written
		return
	}
	if c.t.Has(netperm.Log) {
		c.fail(netperm.Log, "%w", err)
		return
	}
	c.warn(netperm.Log, "%w; under inetd smap serves nobody without one", err)
}

// soon is how long before its expiry a certificate causes a warning.
const soon = 14 * 24 * time.Hour

// certificate checks the mode of the key, and the dates and the host name of the
// certificate. It notes the TLSA record for the DNS.
func (c *checks) certificate(hostname string) {
	if !c.t.Has(netperm.TLSCert) {
		return
	}
	key := c.t.String(netperm.TLSKey)
	if st, err := os.Stat(key); err == nil && st.Mode().Perm()&0o004 != 0 {
		c.warn(netperm.TLSKey, "every user can read %s (chmod o-r %s)", key, key)
	}
	pair, err := tls.LoadX509KeyPair(c.t.String(netperm.TLSCert), key)
	if err != nil {
		return // startTLS reports it
	}
	leaf, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return
	}
	switch left := leaf.NotAfter.Sub(c.now); {
	case left <= 0:
		c.warn(netperm.TLSCert, "the certificate expired on %s", leaf.NotAfter.Format(time.DateOnly))
	case left < soon:
		c.warn(netperm.TLSCert, "the certificate expires on %s", leaf.NotAfter.Format(time.DateOnly))
	case c.now.Before(leaf.NotBefore):
		c.warn(netperm.TLSCert, "the certificate is valid only from %s on", leaf.NotBefore.Format(time.DateOnly))
	}
	if err := leaf.VerifyHostname(hostname); err != nil {
		c.warn(netperm.TLSCert, "the certificate is not for %s: %w", hostname, err)
	}
	c.notes = append(c.notes, fmt.Sprintf("_25._tcp.%s. IN TLSA 3 1 1 %x", hostname, sha256.Sum256(leaf.RawSubjectPublicKeyInfo)))
}

// spoolError rewords an error from opening the spool. In the chroot the spool is /;
// the new text has its path outside the chroot.
func spoolError(dir, opened string, err error) error {
	text, found := strings.CutPrefix(err.Error(), "spool "+opened+": ")
	if found {
		text = filepath.Join(dir, text)
	}
	return &rewordedError{text + "; smap -t shows what is wrong, and the command that mends it", err}
}

// A rewordedError is an error with another text.
type rewordedError struct {
	text string
	err  error
}

func (e *rewordedError) Error() string { return e.text }
func (e *rewordedError) Unwrap() error { return e.err }
