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
	name := t.String(netperm.Hostname)
	if name == "" && hostname != nil {
		var err error
		if name, err = hostname(); err != nil {
			return nil, t.Errorf(netperm.Hostname, "%w; give one in the table", err)
		}
	}
	if err := t.CheckFiles(); err != nil {
		return nil, err
	}
	local, err := t.Domains(netperm.LocalDomains, name)
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
		GreetDelay: t.Duration(netperm.GreetDelay),
		Timeout:    t.Duration(netperm.Timeout),
		MaxBytes:   t.Int(netperm.MaxBytes),
		MaxRecip:   int(t.Int(netperm.MaxRecip)),
		MaxErrors:  int(t.Int(netperm.MaxErrors)),
		MinFree:    uint64(t.Int(netperm.MinFree)),
		MinRate:    t.Int(netperm.MinRate),
		OfferDSN:   slices.Contains(t.Words(netperm.Offer), "dsn"),
		OfferUTF8:  slices.Contains(t.Words(netperm.Offer), "smtputf8"),
		RequireTLS: t.Bool(netperm.TLSRequired),
		Local:      local.Contain,
		Now:        time.Now,
	}
	if path := t.String(netperm.Recipients); path != "" {
		f, err := netperm.OpenFile(path)
		if err != nil {
			return nil, t.Errorf(netperm.Recipients, "%w", err)
		}
		s.config.Known = addrlist.New(f).Contains
	}
	return s, nil
}
