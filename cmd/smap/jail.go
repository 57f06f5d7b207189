package main

import (
	"log/slog"
	"os"
	"strings"

	"smap/internal/jail"
	"smap/internal/jail/capability"
	"smap/netperm"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// imprison gives up root and the file system, opens the spool, and enters the
// sandbox.
func (s *setup) imprison(uid, gid int, server bool) (*spoolfmt.Spool, error) {
	t, log := s.table, s.config.Log
	dir, err := dropRoot(t, uid, gid, log, server)
	if err != nil {
		return nil, err
	}
	spool, err := spoolfmt.OpenFeeder(dir, spoolfmt.Options{Log: log})
	if err != nil {
		return nil, spoolError(t.String(netperm.Directory), dir, err)
	}
	return spool, s.lockUp(spool, server)
}

// dropRoot enters the chroot and changes the user. It returns the path that the
// spool then has. Unless smap is root, it does neither.
func dropRoot(t *netperm.Table, uid, gid int, log *slog.Logger, server bool) (string, error) {
	dir := t.String(netperm.Directory)
	if os.Geteuid() != 0 {
		log.Info(eventStart, "note", "not root: no chroot, no change of user")
		return dir, nil
	}
	if server { // too slow for a process that serves one connection
		_ = capability.EmptyBoundingSet() // if that fails, the sandbox's no_new_privs has the same effect
	}
	return "/", jail.Drop(dir, uid, gid)
}

// How many descriptors a process needs at most: openFiles for itself, and
// perSession for each session. A session needs three: the connection and the two
// files of a message. The fourth leaves room for clients that get 421.
const openFiles, perSession = 64, 4

// cgoNote is the warning of a program that was built with cgo.
const cgoNote = "smap was built with cgo and cannot confine its threads; build it with CGO_ENABLED=0, as make build does"

// lockUp puts the process into the sandbox, unless the table turns that off.
// A process for one connection does not log a complete sandbox.
func (s *setup) lockUp(spool *spoolfmt.Spool, server bool) error {
	t, log := s.table, s.config.Log
	mode := t.String(netperm.Sandbox)
	if builtWithCgo {
		log.Warn(eventSandbox, "note", cgoNote)
	}
	if mode == "off" {
		log.Warn(eventSandbox, "note", "off, as the table says")
		return nil
	}
	needs := jail.Needs{
		Tmp: spool.Fd(spoolfmt.Tmp), TmpPath: spool.Path(spoolfmt.Tmp),
		New: spool.Fd(spoolfmt.New), NewPath: spool.Path(spoolfmt.New),
		MaxOpen: openFiles,
		Accept:  server,
		Lock:    s.countLater,
	}
	if n := t.Int(netperm.MaxBytes); n > 0 {
		needs.MaxFile = uint64(n) + envelope.MaxSize // with room for the header that smap adds
	}
	if server {
		needs.MaxOpen += perSession * uint64(t.Int(netperm.MaxSessions)+reserved)
	}
	active, missing := jail.Enter(needs)
	lacks := strings.Join(missing, "; ")
	switch {
	case lacks != "" && mode == "strict":
		return t.Errorf(netperm.Sandbox, "strict, but this is missing: %s", lacks)
	case lacks != "":
		log.Warn(eventSandbox, "active", strings.Join(active, " "), "missing", lacks)
	case server:
		log.Info(eventSandbox, "active", strings.Join(active, " "))
	}
	return nil
}
