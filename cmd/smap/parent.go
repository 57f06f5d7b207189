package main

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"smap/netperm"
)

// Restarts of a child that died: the wait grows, so that a broken machine is
// not kept busy, up to a minute.
const maxRestart = time.Minute

// A parent keeps the listening sockets, and root, so that a new table, renewed
// keys or another program need no new socket: on HUP it starts a new child and
// lets the old one finish its sessions. It reads nothing from the network.
type parent struct {
	options
	log     *slog.Logger
	sockets []*os.File
	child   *child
	old     map[*child]bool // told to finish
	events  chan event
}

// A child is a process that serves. Our end of the line tells it, by its end,
// that we are gone; its end tells us that it is ready.
type child struct {
	cmd  *exec.Cmd
	line *os.File
	born time.Time
}

// An event is what a child did: it became ready, or it ended.
type event struct {
	*child
	ended error
	ready bool
}

// serve is the parent of the processes that serve on some sockets.
func serve(o options, sockets []*os.File) int {
	t, err := netperm.Load(o.table, "smap")
	log, _, lerr := openLog(o, t, "stderr")
	if lerr != nil {
		fmt.Fprintln(os.Stderr, "smap:", lerr)
		return exitOS
	}
	if err != nil {
		return configError(log, err)
	}
	for _, w := range t.Warnings() {
		log.Warn("table", "warning", w.Error())
	}
	p := &parent{options: o, log: log, sockets: sockets, old: make(map[*child]bool), events: make(chan event)}
	if err := p.start(); err != nil {
		log.Error("fwtksyserr: start", "error", err)
		return exitOS
	}
	return p.run()
}

func configError(log *slog.Logger, err error) int {
	for _, e := range netperm.Split(err) {
		log.Error("fwtkcfgerr: " + e.Error())
	}
	return exitConfig
}

// start starts a child, which inherits the sockets and its end of the line.
func (p *parent) start() error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		return err
	}
	unix.CloseOnExec(pair[0])
	unix.CloseOnExec(pair[1])
	_ = unix.SetNonblock(pair[0], true) // else Close would not end a Read
	theirs := os.NewFile(uintptr(pair[1]), "line")
	c := &child{line: os.NewFile(uintptr(pair[0]), "line"), born: time.Now()}
	c.cmd = exec.Command(program, "-c", p.table, "-log", p.options.log, "-child", strconv.Itoa(len(p.sockets)))
	c.cmd.Args[0] = os.Args[0]
	c.cmd.Stderr = os.Stderr
	c.cmd.ExtraFiles = append(append(c.cmd.ExtraFiles, p.sockets...), theirs)
	err = c.cmd.Start()
	if err = errors.Join(err, theirs.Close()); err != nil {
		return errors.Join(err, c.line.Close())
	}
	p.child = c
	go func() {
		var b [1]byte
		if n, _ := c.line.Read(b[:]); n == 1 {
			p.events <- event{child: c, ready: true}
		}
		err := c.cmd.Wait()
		if err == nil {
			err = errors.New("exit 0")
		}
		p.events <- event{child: c, ended: err}
	}()
	return nil
}

// run looks after the children until TERM or INT, and then until they are done.
func (p *parent) run() int {
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	var restart <-chan time.Time
	wait, worked, stopping := time.Duration(0), false, false
	for {
		select {
		case s := <-signals:
			if s != unix.SIGHUP {
				stopping, restart = true, nil
				p.retire(p.child)
			} else if !stopping {
				p.reload()
			}
		case <-restart:
			restart = nil
			if err := p.start(); err != nil {
				p.log.Error("fwtksyserr: start", "error", err)
				restart = time.After(maxRestart)
			}
		case e := <-p.events:
			if e.ready {
				worked, wait = true, 0
				for c := range p.old {
					p.retire(c)
				}
				continue
			}
			_ = e.line.Close() // its other end is gone
			delete(p.old, e.child)
			switch {
			case e.child == p.child && !stopping && !worked:
				return max(e.cmd.ProcessState.ExitCode(), 1) // it has said why
			case e.child == p.child && !stopping:
				p.child = nil
				wait = min(max(2*wait, time.Second), maxRestart)
				p.log.Error("child-died", "pid", e.cmd.Process.Pid, "status", e.ended.Error(), "restart", wait.String())
				restart = time.After(wait)
			case e.child == p.child:
				p.child = nil
			}
		}
		if stopping && p.child == nil && len(p.old) == 0 {
			p.log.Info("stop")
			return exitOK
		}
	}
}

// reload starts a child with the new table, unless that is wrong; the old one
// goes on until the new one is ready.
func (p *parent) reload() {
	if _, err := netperm.Load(p.table, "smap"); err != nil {
		configError(p.log, err)
		return
	}
	before := p.child
	if err := p.start(); err != nil {
		p.log.Error("fwtksyserr: start", "error", err)
		return
	}
	if before != nil {
		p.old[before] = true
	}
	p.log.Info("reload", "pid", p.child.cmd.Process.Pid)
}

// retire tells a child to finish its sessions and end.
func (p *parent) retire(c *child) {
	if c != nil {
		_ = c.cmd.Process.Signal(unix.SIGTERM) // it may be gone
	}
}
