package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"smap/courier"
	"smap/courier/agent"
	"smap/netperm"
	"smap/spoolfmt/envelope"
)

// rules is a table with what is needed to put it to work. It crosses the pipe
// from the parent, which may read a table of mode 600, to the child, which may
// not; the fields are those of the JSON text there.
type rules struct {
	File  string            // path of the table, for error messages
	Text  []byte            // the table
	Files map[string][]byte // files that it names and only the parent may read
	Log   string            // -log
	Once  bool              // -once
	Beat  time.Duration     // how often to say that the work goes on; 0 is never

	table   *netperm.Table
	missing []*netperm.Error // agents that do not exist
	doubts  []*netperm.Error // other warnings
	log     *slog.Logger     // of the courier
}

// readRules reads, parses and checks the table and everything that it names.
func readRules(path string, root bool) (*rules, error) {
	text, err := netperm.ReadTable(path)
	if err != nil {
		return nil, err
	}
	r := &rules{File: path, Text: text, Files: make(map[string][]byte)}
	if err := r.parse(root); err != nil {
		return nil, err
	}
	if err := r.checkWords(); err != nil {
		return nil, err
	}
	if err := r.checkFiles(); err != nil {
		return nil, err
	}
	if err := r.readFiles(); err != nil {
		return nil, err
	}
	if err := r.checkAgents(); err != nil {
		return nil, err
	}
	r.doubts = append(r.doubts, netperm.UnknownRecipients(text, path)...)
	cfg, err := r.config()
	if err == nil && cfg.BadAdmin == "" && r.table.String(netperm.BadAdmin) != "none" {
		r.doubts = append(r.doubts, r.table.Errorf(netperm.BadAdmin,
			"no agent delivers on this host, so nobody gets the digest of messages set aside; set badadmin to an address, or to none"))
	}
	return r, err
}

// rereadRules is readRules for a reload. The rules that are in use have an agent,
// so that one that does not exist is an error.
func rereadRules(path string, root bool) (*rules, error) {
	r, err := readRules(path, root)
	if err == nil && len(r.missing) > 0 {
		err = r.missing[0]
	}
	return r, err
}

// checkWords checks the words of all agents.
func (r *rules) checkWords() error {
	var bad netperm.Errors
	for _, a := range r.agents() {
		if err := agent.Check(a.words); err != nil {
			bad = append(bad, a.fail("%w", err))
		}
	}
	return orNil(bad)
}

// checkFiles checks what the table names. At the start an agent that does not
// exist is no error: perhaps it is being installed, and the courier probes.
func (r *rules) checkFiles() error {
	var left netperm.Errors
	for _, err := range netperm.Split(r.table.CheckFiles()) {
		var e *netperm.Error
		switch {
		case !errors.As(err, &e):
			return err
		case !e.About(netperm.Sendmail): // it is an agent, too
			left = append(left, e)
		}
	}
	for _, a := range r.agents() {
		if program := agent.Program(a.words); program != "" {
			err := netperm.CheckProgram(program)
			switch {
			case errors.Is(err, os.ErrNotExist):
				r.missing = append(r.missing, a.fail("%w", err))
			case err != nil:
				left = append(left, a.fail("%w", err))
			}
		}
		for _, name := range agent.Files(a.words) {
			if err := netperm.CheckFile(name); err != nil {
				left = append(left, a.fail("%w", err))
			}
		}
	}
	return orNil(left)
}

// orNil keeps an empty list from becoming an error that is not nil.
func orNil(errs netperm.Errors) error {
	if len(errs) == 0 {
		return nil
	}
	return errs
}

// warnings are for the log, once.
func (r *rules) warnings() []*netperm.Error {
	return slices.Concat(r.table.Warnings(), r.missing, r.doubts)
}

// parse makes the text a table again, at both ends of the pipe.
func (r *rules) parse(root bool) error {
	t, err := netperm.Parse(r.Text, r.File, netperm.Options{Program: "smapd", Root: root})
	if err != nil {
		return err
	}
	r.table = t
	return nil
}

// readFiles reads the files with secrets that the table names.
func (r *rules) readFiles() error {
	for _, a := range r.agents() {
		for _, name := range agent.Files(a.words) {
			data, err := netperm.ReadFile(name)
			if err != nil {
				return a.fail("%w", err)
			}
			r.Files[name] = data
		}
	}
	return nil
}

// override notes what the command line says.
func (r *rules) override(o options) {
	r.Once = o.once
	r.Beat = beat()
	r.Log = o.log
	if r.Log == "" && o.detach {
		r.Log = "syslog"
	}
}

// logTo is where the log goes.
func (r *rules) logTo() string {
	if r.Log != "" {
		return r.Log
	}
	if to := r.table.String(netperm.Log); to != "" {
		return to
	}
	return "stderr"
}

// config makes the courier's configuration, without its log.
func (r *rules) config() (courier.Config, error) {
	t := r.table
	cfg := courier.Config{
		Dir:          t.String(netperm.Directory),
		BadDir:       t.String(netperm.BadDir),
		MaxChildren:  paused(int(t.Int(netperm.MaxChildren))),
		Batch:        int(t.Int(netperm.Batch)),
		AgentTimeout: t.Duration(netperm.AgentTimeout),
		Wakeup:       t.Duration(netperm.Wakeup),
		Schedule:     courier.Schedule{Retry: t.Durations(netperm.Retry), MaxAge: t.Duration(netperm.MaxAge)},
		Bounce:       t.Bool(netperm.Bounce),
		BadAdmin:     t.String(netperm.BadAdmin),
		Hostname:     t.String(netperm.Hostname),
		Metrics:      t.String(netperm.Metrics),
		Shut:         courier.ShutFile(t.String(netperm.Directory)),
		Once:         r.Once,
	}
	if cfg.BadAdmin == "none" {
		cfg.BadAdmin = ""
	} else if err := envelope.CheckAddress(cfg.BadAdmin); err != nil {
		return cfg, t.Errorf(netperm.BadAdmin, "%w", err)
	}
	if filepath.Clean(cfg.BadDir) == filepath.Join(cfg.Dir, "bad") {
		cfg.BadDir = ""
	}
	if err := r.setAgents(&cfg); err != nil {
		return cfg, err
	}
	if !t.Has(netperm.BadAdmin) && !agent.Local(cfg.OwnLane(cfg.BadAdmin).Agent) {
		cfg.BadAdmin = "" // a script, or a server elsewhere, would get it
	}
	return cfg, nil
}

// courier makes the courier that the rules describe.
func (r *rules) courier(log *slog.Logger) (*courier.Courier, error) {
	cfg, err := r.config()
	if err != nil {
		return nil, err
	}
	// The spool's own bad/ is made when it is missing. Another one is made only if
	// its parent exists, as with the Toolkit's "baddir /var/spool/smap/bad".
	if cfg.BadDir != "" {
		if err := os.Mkdir(cfg.BadDir, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
			return nil, fmt.Errorf("baddir: %w", err)
		}
	}
	cfg.Log, r.log = log, log
	return courier.New(cfg)
}
