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

// A setup is the table in the form that sessions use.
type setup struct {
	table      *netperm.Table
	config     receiver.Config
	lookup     *lookup.Client                        // nil: no look-ups
	lookupLost func()                                // called when the look-up child is gone
	countLater bool                                  // a load balancer will name the client; then slots counts it
	slots      *slots                                // only in a process for one connection
	wasRefused func(now time.Time) (n int, log bool) // only in a server; see limiter
}

// configure reads the files that the table names and fills a receiver's
// configuration. hostname is os.Hostname, or nil if no name is needed. server
// is true for a process that serves many clients.
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
