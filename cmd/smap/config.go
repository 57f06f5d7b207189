package main

import (
	"log/slog"
	"slices"
	"time"

	"smap/internal/addrlist"
	"smap/internal/lookup"
	"smap/netperm"
	"smap/receiver"
)

// A setup is what the table says, in the form in which sessions use it.
type setup struct {
	table      *netperm.Table
	config     receiver.Config
	lookup     *lookup.Client // nil: the table asks for no look-ups
	lookupLost func()         // what to do when its child is gone
}

// configure reads the files that the table names and fills a receiver's
// configuration. hostname is os.Hostname.
func configure(t *netperm.Table, hostname func() (string, error), log *slog.Logger) (*setup, error) {
	s := &setup{table: t, lookupLost: func() {}}
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
	local, err := t.Domains("local-domains", name)
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
		OfferDSN:   slices.Contains(t.Words("offer"), "dsn"),
		OfferUTF8:  slices.Contains(t.Words("offer"), "smtputf8"),
		RequireTLS: t.Bool("tls-required"),
		Local:      local.Contain,
		Now:        time.Now,
	}
	if path := t.String("recipients"); path != "" {
		f, err := netperm.OpenFile(path)
		if err != nil {
			return nil, t.Errorf("recipients", "%w", err)
		}
		s.config.Known = addrlist.New(f).Contains
	}
	return s, nil
}
