package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"smap/netperm"
	"smap/receiver"
	"smap/spoolfmt"
)

// A setup is what the table says, in the form in which sessions use it.
type setup struct {
	table  *netperm.Table
	config receiver.Config
}

// configure reads the files that the table names and fills a receiver's
// configuration. hostname is os.Hostname.
func configure(t *netperm.Table, hostname func() (string, error), log *slog.Logger) (*setup, error) {
	s := &setup{table: t}
	name := t.String("hostname")
	if name == "" && hostname != nil {
		var err error
		if name, err = hostname(); err != nil {
			return nil, t.Errorf("hostname", "%w; give one in the table", err)
		}
	}
	if err := t.CheckFiles(); err != nil {
		return nil, err
	}
	local, err := localDomains(t, name)
	if err != nil {
		return nil, err
	}
	secure, err := startTLS(t)
	if err != nil {
		return nil, err
	}
	s.config = receiver.Config{
		StartTLS:   secure,
		Hostname:   name,
		Log:        log,
		Timeout:    t.Duration("timeout"),
		MaxBytes:   t.Int("maxbytes"),
		MaxRecip:   int(t.Int("maxrecip")),
		MaxErrors:  int(t.Int("maxerrors")),
		MinFree:    uint64(t.Int("minfree")),
		MinRate:    t.Int("min-rate"),
		RequireTLS: t.Bool("tls-required"),
		Local:      local,
		Now:        time.Now,
	}
	for _, extension := range t.Words("offer") {
		switch extension {
		case "dsn":
			s.config.OfferDSN = true
		case "smtputf8":
			s.config.OfferUTF8 = true
		}
	}
	if path := t.String("recipients"); path != "" {
		f, err := netperm.OpenFile(path)
		if err != nil {
			return nil, t.Errorf("recipients", "%w", err)
		}
		s.config.Known = recipientsIn(f)
	}
	return s, nil
}

// localDomains returns the test for domains whose mail is ours: those of the
// table, or the hostname alone.
func localDomains(t *netperm.Table, hostname string) (func(string) bool, error) {
	exact := make(map[string]bool)
	var suffixes []string
	add := func(domain string) {
		domain = strings.ToLower(domain)
		if strings.HasPrefix(domain, ".") {
			suffixes = append(suffixes, domain)
			domain = domain[1:]
		}
		exact[domain] = true
	}
	for _, word := range t.Words("local-domains") {
		if !strings.HasPrefix(word, "/") {
			add(word)
			continue
		}
		if err := eachLine(word, add); err != nil {
			return nil, t.Errorf("local-domains", "%w", err)
		}
	}
	if !t.Has("local-domains") {
		add(hostname)
	}
	return func(domain string) bool {
		if exact[domain] {
			return true
		}
		for _, s := range suffixes {
			if strings.HasSuffix(domain, s) {
				return true
			}
		}
		return false
	}, nil
}

// eachLine calls f for every line of a file that is not empty or a comment.
func eachLine(path string, f func(string)) error {
	file, err := netperm.OpenFile(path)
	if err != nil {
		return err
	}
	defer file.Close() // only read
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		line, _, _ := strings.Cut(lines.Text(), "#")
		if line = strings.TrimSpace(line); line != "" {
			f(line)
		}
	}
	return lines.Err()
}

// recipientsIn looks an address up in a file of one address a line, in any
// order and case. The file is read piece by piece for each look-up and never
// held: an inetd's smap lives for one connection.
func recipientsIn(f *os.File) func(string) (bool, error) {
	buf := make([]byte, 32<<10)
	return func(address string) (bool, error) {
		want := []byte(address)
		kept := 0
		for at := int64(0); ; {
			n, err := f.ReadAt(buf[kept:], at)
			at += int64(n)
			piece := buf[:kept+n]
			if err != nil && !errors.Is(err, io.EOF) {
				return false, err
			}
			for {
				i := bytes.IndexByte(piece, '\n')
				if i < 0 {
					break
				}
				if bytes.EqualFold(bytes.TrimSpace(piece[:i]), want) {
					return true, nil
				}
				piece = piece[i+1:]
			}
			if err != nil {
				return bytes.EqualFold(bytes.TrimSpace(piece), want), nil
			}
			if len(piece) > spoolfmt.MaxAddress+2 {
				piece = piece[len(piece)-spoolfmt.MaxAddress-2:] // no address; skip it
			}
			kept = copy(buf, piece)
		}
	}
}

// admit tells whether a client may talk to us at all, and whether it may relay.
func (s *setup) admit(c *receiver.Client) bool {
	host := netperm.Host{Addr: c.Addr, Name: c.Name}
	if !c.Addr.IsValid() { // a person at a terminal, or a pipe
		return true
	}
	c.Relay = s.table.Match("relay-hosts", host)
	return s.table.Permit(host).Allowed
}
