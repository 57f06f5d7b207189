package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"

	"golang.org/x/sys/unix"

	"smap/internal/eventlog"
	"smap/internal/sockets"
	"smap/netperm"
)

// openLog opens the log that the command line, else the table, else the occasion
// asks for. t may be nil. Where the table does not require a log, there may be none.
func openLog(o options, t *netperm.Table) (*slog.Logger, io.Closer, error) {
	if o.relay {
		return eventlog.Inherit(sockets.First+o.child, "smap")
	}
	dest := o.log
	if dest == "" && t != nil {
		dest = t.String(netperm.Log)
	}
	if dest == "" {
		dest = defaultLog()
	}
	log, closer, err := eventlog.Open(dest, "smap")
	if err != nil && t != nil && !t.Bool(netperm.LogRequired) {
		complain(err)
		log, closer = eventlog.OpenLater("smap")
		return log, closer, nil
	}
	return log, closer, err
}

// defaultLog is stderr where that is not the client: a terminal, tcpserver.
func defaultLog() string {
	var null, log unix.Stat_t
	if unix.Stat(os.DevNull, &null) == nil && unix.Fstat(2, &log) == nil && (null.Dev != log.Dev || null.Ino != log.Ino) {
		return "stderr"
	}
	return "syslog"
}

// complain says what is wrong where there is no log: on standard error, and where
// nobody sees that, on the console.
func complain(err error) {
	if defaultLog() == "stderr" {
		fmt.Fprintln(os.Stderr, "smap:", err)
		return
	}
	console, oerr := os.OpenFile("/dev/console", os.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0)
	if oerr != nil {
		return // only root may write there
	}
	fmt.Fprintf(console, "smap[%d]: %v\r\n", os.Getpid(), err)
	_ = console.Close()
}

// crashesTo sends what the runtime says of its own death to the log.
func crashesTo(fd int) {
	if fd >= 0 && defaultLog() == "syslog" {
		_ = sockets.Dup(fd, 2) // else it goes nowhere, as before
	}
}
