package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"syscall"
	"time"
)

const (
	firstRestart = time.Second
	lastRestart  = time.Minute
	// steady is how long a child has to live for its death to be a new story.
	steady = time.Minute
	// childGrace is how long a child may take to end after TERM. It bounds its
	// own deliveries earlier.
	childGrace = 30 * time.Second
)

// A supervisor is the parent: it has root, and touches neither the spool nor
// anything that came from the network.
type supervisor struct {
	o       options
	rules   *rules
	log     *slog.Logger
	signals chan os.Signal
	stderr  io.Writer

	cmd    *exec.Cmd
	pipe   *os.File
	exited chan error
	status chan byte
	born   time.Time
	wait   time.Duration
	worked bool // a child has been ready once
	stop   bool
}

func parent(o options, r *rules, stderr io.Writer) int {
	log, err := newLogger(r, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "smapd:", err)
		return exOSErr
	}
	for _, w := range r.warnings() {
		log.Warn("config", "warning", w.Error())
	}
	s := &supervisor{o: o, rules: r, log: log, stderr: stderr, signals: make(chan os.Signal, 8)}
	signal.Notify(s.signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGUSR1)
	signal.Ignore(syscall.SIGPIPE)
	if o.inner {
		remove, err := writePid(o.pidFile)
		if err != nil {
			log.Error("fatal", "error", err.Error())
			return exOSErr
		}
		defer remove()
	}
	return s.run()
}

// run starts the child and starts it again until it is told to stop.
func (s *supervisor) run() int {
	for {
		if err := s.start(); err != nil {
			s.log.Error("child-start", "error", err.Error())
			if !s.worked {
				return exitCode(err)
			}
		} else {
			code, final := s.watch()
			if final {
				return code
			}
		}
		if !s.pause() {
			return exOK
		}
	}
}

// start starts the child as userid and sends it the rules.
func (s *supervisor) start() error {
	uid, gid, err := s.rules.table.Identity()
	if err != nil {
		return err
	}
	program := s.rules.table.String("executable")
	if program == "" {
		if program, err = os.Executable(); err != nil {
			return err
		}
	}
	rulesIn, rulesOut, err := os.Pipe()
	if err != nil {
		return err
	}
	statusIn, statusOut, err := os.Pipe()
	if err != nil {
		return errors.Join(err, rulesIn.Close(), rulesOut.Close())
	}
	cmd := exec.Command(program, "-child")
	cmd.Args[0] = "smapd"
	cmd.Dir = "/"
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/"}
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = []*os.File{rulesIn, statusOut}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// No supplementary groups: an empty list is set, not kept.
		Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid), Groups: []uint32{}},
		// A terminal's signals reach the parent, which passes them on.
		Setpgid: true,
	}
	err = cmd.Start()
	err = errors.Join(err, rulesIn.Close(), statusOut.Close())
	if err != nil {
		return errors.Join(fmt.Errorf("%s: %w", program, err), rulesOut.Close(), statusIn.Close())
	}
	s.cmd, s.pipe, s.born = cmd, rulesOut, time.Now()
	s.exited, s.status = make(chan error, 1), make(chan byte, 16)
	go func(status chan<- byte, exited chan<- error) {
		var b [1]byte
		for {
			if n, err := statusIn.Read(b[:]); n == 1 {
				select {
				case status <- b[0]:
				default: // a child that floods is not listened to
				}
			} else if err != nil {
				break
			}
		}
		_ = statusIn.Close() // read only
		exited <- cmd.Wait()
	}(s.status, s.exited)
	s.log.Info("child", "pid", cmd.Process.Pid, "uid", uid, "gid", gid)
	return s.send()
}

// send writes the rules into the pipe. A child that does not read them is
// broken and will be ended.
func (s *supervisor) send() error {
	if err := s.pipe.SetWriteDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	if err := json.NewEncoder(s.pipe).Encode(s.rules); err != nil {
		s.log.Error("child-rules", "error", err.Error())
		return errors.Join(s.cmd.Process.Kill(), nil)
	}
	return nil
}

// watch passes signals on until the child has ended. It returns true when that
// was wanted, or when it never came to work.
func (s *supervisor) watch() (int, bool) {
	var kill <-chan time.Time
	for {
		select {
		case b := <-s.status:
			if b == ready && !s.worked {
				s.worked = true
				detachedReady(s.o)
			}
		case sig := <-s.signals:
			switch sig {
			case syscall.SIGHUP:
				s.reload()
			case syscall.SIGUSR1:
				s.signal(syscall.SIGUSR1)
			default:
				s.stop = true
				s.signal(syscall.SIGTERM)
				kill = time.After(childGrace)
			}
		case <-kill:
			s.signal(syscall.SIGKILL)
		case err := <-s.exited:
			return s.buried(err)
		}
	}
}

func (s *supervisor) signal(sig syscall.Signal) {
	if err := s.cmd.Process.Signal(sig); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.log.Error("child-signal", "error", err.Error())
	}
}

// buried decides what the child's end means.
func (s *supervisor) buried(err error) (int, bool) {
	_ = s.pipe.Close() // its reader is gone
	for {
		select {
		case b := <-s.status:
			s.worked = s.worked || b == ready
			continue
		default:
		}
		break
	}
	code := s.cmd.ProcessState.ExitCode()
	switch {
	case s.stop, s.rules.Once && code >= 0:
		return max(code, exOK), true
	case !s.worked && code > 0:
		return code, true // it has said why
	}
	text := "exit 0"
	if err != nil {
		text = err.Error()
	}
	s.log.Error("child-died", "status", text, "seconds", int(time.Since(s.born).Seconds()))
	return 0, false
}

// pause waits before the next start, longer each time the child dies young. It
// returns false when it is told to stop.
func (s *supervisor) pause() bool {
	if time.Since(s.born) >= steady || s.wait == 0 {
		s.wait = firstRestart
	} else {
		s.wait = min(2*s.wait, lastRestart)
	}
	over := time.NewTimer(s.wait)
	defer over.Stop()
	for {
		select {
		case <-over.C:
			return true
		case sig := <-s.signals:
			switch sig {
			case syscall.SIGHUP:
				s.reread()
				return true
			case syscall.SIGUSR1:
			default:
				return false
			}
		}
	}
}

// reload reads the table again and sends it to the child. A change of what the
// parent itself decides needs another child.
func (s *supervisor) reload() {
	old := s.rules.table
	if !s.reread() {
		return
	}
	for _, clause := range []string{"userid", "groupid", "executable", "directory", "baddir", "log"} {
		if old.String(clause) != s.rules.table.String(clause) {
			s.log.Info("child-restart", "changed", clause)
			s.signal(syscall.SIGTERM)
			return
		}
	}
	if err := s.send(); err != nil {
		s.log.Error("child-rules", "error", err.Error())
	}
}

// reread reads the table again; with errors the old rules stay.
func (s *supervisor) reread() bool {
	fresh, err := readRules(s.o.table, true)
	if err != nil {
		s.log.Error("reload-failed", "error", err.Error())
		return false
	}
	fresh.override(s.o)
	s.rules = fresh
	return true
}
