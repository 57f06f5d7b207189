package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/detach"
	"smap/internal/eventlog"
	"smap/internal/supervise"
	"smap/netperm"
)

// serve runs the parent of a server. Its children accept connections; it reads
// nothing from the network. On HUP it starts a new child and lets the old one
// finish its sessions. It keeps root and the sockets, so HUP is enough for a new
// table, new keys or a new version of smap.
func serve(o options, sockets []*os.File) int {
	t, err := netperm.Load(o.table, "smap")
	log, closer, lerr := openLog(o, t)
	if lerr != nil {
		complain(lerr)
		return exitNoLog
	}
	if err != nil {
		if o.detached {
			for _, e := range netperm.Split(err) {
				fmt.Fprintln(os.Stderr, "smap: fwtkcfgerr:", e)
			}
		}
		return configError(log, err)
	}
	if o.detached {
		remove, err := detach.WritePid("smap", o.pidFile)
		if err != nil {
			fmt.Fprintln(os.Stderr, "smap:", err) // the user sees it: see package detach
			log.Error(eventCannotStart, "error", err)
			return exitOS
		}
		defer remove()
	}
	for _, w := range t.Warnings() {
		log.Warn(eventTable, "warning", w.Error())
	}
	syslog, toSyslog := closer.(io.Writer)
	if !toSyslog {
		syslog = eventlog.Lines(os.Stderr, "smap")
	}
	relay := eventlog.NewRelay(syslog, "smap")
	signals := make(chan os.Signal, 8)
	signal.Notify(signals, unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	recipients := &watcher{log: log, reload: hangUp(signals)}
	recipients.follow(t.String(netperm.Recipients))
	done := make(chan struct{})
	defer close(done)
	go recipients.run(done)
	counts := &metrics{log: log, began: time.Now()}
	counts.follow(t.String(netperm.SmapMetrics))
	var writing sync.WaitGroup
	defer writing.Wait()
	stop := make(chan struct{})
	defer close(stop)
	writing.Go(func() { counts.run(stop) })
	parent := supervise.Parent{
		Log:   log,
		Grace: drainTime + 10*time.Second,
		Once:  o.idle, // when a child ends for lack of work, the parent ends too
		Ready: func() {
			if o.detached {
				detach.Ready()
			}
		},
		Command: func() (*exec.Cmd, error) {
			if !toSyslog && !counts.wanted() {
				return childCommand(o, sockets, nil, nil) // the child logs to standard error itself
			}
			return childCommand(o, sockets, relay, counts.child())
		},
		Reload: func() (bool, error) {
			t, err := netperm.Load(o.table, "smap")
			if err != nil {
				configError(log, err)
				return true, err
			}
			recipients.follow(t.String(netperm.Recipients))
			counts.follow(t.String(netperm.SmapMetrics))
			return true, nil
		},
	}
	code, err := parent.Run(signals)
	if err != nil {
		log.Error(eventCannotStart, "error", err)
		return exitOS
	}
	log.Info(eventStop)
	return code
}

// childCommand returns the command for a child that inherits the sockets. It runs
// the installed program, which can be newer than this process.
func childCommand(o options, sockets []*os.File, relay *eventlog.Relay, reader eventlog.Reader) (*exec.Cmd, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(program, "-c", o.table, "-log", o.log, "-child", strconv.Itoa(len(sockets)))
	cmd.Args[0] = os.Args[0]
	cmd.Stderr = os.Stderr
	cmd.ExtraFiles = append(cmd.ExtraFiles, sockets...)
	if o.idle {
		cmd.Args = append(cmd.Args, "-idle")
	}
	if relay != nil {
		end, err := relay.Next(reader)
		if err != nil {
			return nil, err
		}
		cmd.Args = append(cmd.Args, "-relay")
		cmd.ExtraFiles = append(cmd.ExtraFiles, end)
	}
	return cmd, nil
}

func configError(log *slog.Logger, err error) int {
	for _, e := range netperm.Split(err) {
		log.Error(wordTableError + e.Error())
	}
	return exitConfig
}
