package main

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"smap/internal/lookup"
	"smap/netperm"
	"smap/receiver"
)

// A setup is what the table says, in the form in which sessions use it.
type setup struct {
	table      *netperm.Table
	config     receiver.Config
	lookup     *lookup.Client                        // nil: the table asks for no look-ups
	lookupLost func()                                // what to do when its child is gone
	countLater bool                                  // slots will be asked once the client is known
	slots      *slots                                // of a process for one connection; nil: none
	wasRefused func(now time.Time) (n int, log bool) // of a server; see limiter
}

// configure reads the files that the table names and fills a receiver's
// configuration. hostname is os.Hostname; server tells that many are served.
func configure(t *netperm.Table, server bool, hostname func() (string, error), log *slog.Logger) (*setup, error) {
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
		Reserved:   new(atomic.Int64),
		MinRate:    t.Int(netperm.MinRate),
		OfferDSN:   slices.Contains(t.Words(netperm.Offer), "dsn"),
		OfferUTF8:  slices.Contains(t.Words(netperm.Offer), "smtputf8"),
		RequireTLS: t.Bool(netperm.TLSRequired),
		Local:      local.Contain,
		Now:        time.Now,
	}
	s.config.Known, err = knownRecipients(t, server)
	return s, err
}
