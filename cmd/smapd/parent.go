package main

import (
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"

	"smap/internal/detach"
	"smap/internal/supervise"
	"smap/internal/sysexits"
	"smap/netperm"
)

// childGrace is how long a child may take to end after TERM: the 20 seconds that
// deliveries have, the time to end an agent that does not want to, and the time to
// write down what became of it all.
const childGrace = time.Minute

// A supervisor is the parent: it has root, and touches neither the spool nor
// anything that came from the network.
type supervisor struct {
	o       options
	rules   *rules
	log     *slog.Logger
	manager *manager
}

func parent(o options, r *rules, stderr io.Writer) int {
	log := startLog(r, stderr)
	if log == nil {
		return sysexits.OSErr
	}
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1)
	signal.Ignore(syscall.SIGPIPE)
	if o.inner {
		remove, err := detach.WritePid("smapd", o.pidFile)
		if err != nil {
			fmt.Fprintln(stderr, "smapd:", err) // which the shell shows: see detach
			log.Error(eventFatal, "error", err.Error())
			return sysexits.OSErr
		}
		defer remove()
	}
	s := &supervisor{o: o, rules: r, log: log, manager: &manager{log: log}}
	family := supervise.Parent{
		Log:     log,
		Command: s.command,
		Tell: func(line io.Writer) error {
			defer s.manager.reloaded()
			return json.NewEncoder(line).Encode(s.rules)
		},
		Reload: s.reload,
		Ready:  func() { sayReady(o); s.manager.ready() },
		Once:   o.once,
		Grace:  childGrace,
	}
	if r.Beat > 0 {
		family.Alive, family.Beat = s.manager.alive, r.Beat
	}
	code, err := family.Run(s.manager.signals(signals))
	if err != nil {
		log.Error(eventChildStart, "error", err)
		return exitCode(err)
	}
	return code
}

// sayReady tells the process that detached this one, if there is one.
func sayReady(o options) {
	if o.inner {
		detach.Ready()
	}
}

// command makes the command of the child that works as userid.
func (s *supervisor) command() (*exec.Cmd, error) {
	uid, gid, err := s.rules.table.Identity()
	if err != nil {
		return nil, err
	}
	program := s.rules.table.String(netperm.Executable)
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return nil, err
		}
	}
	cmd := exec.Command(program, "-child")
	cmd.Args[0] = "smapd"
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"}
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// No supplementary groups: an empty list is set, not kept.
		Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}},
		// A terminal's signals reach the parent, which passes them on.
		Setpgid: true,
	}
	return cmd, nil
}

// reload reads the table again; with errors the old rules stay. A change of
// what the parent itself decides needs another child.
func (s *supervisor) reload() (another bool, err error) {
	s.manager.reload()
	fresh, err := rereadRules(s.o.table, true)
	if err != nil {
		s.manager.reloaded()
		s.log.Error(eventReloadFailed, "error", err.Error())
		return false, err
	}
	fresh.override(s.o)
	old := s.rules.table
	s.rules = fresh
	for _, clause := range []netperm.StringClause{netperm.UserID, netperm.GroupID, netperm.Executable, netperm.Directory,
		netperm.BadDir, netperm.Log} {
		another = another || old.String(clause) != fresh.table.String(clause)
	}
	return another, nil
}
