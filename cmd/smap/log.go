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

// openLog opens the log that -log names, else the table, else defaultLog. A child
// with -relay logs through its parent. t can be nil. With "log-required no", lines
// are lost until a syslog daemon answers.
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

// defaultLog is syslog if standard error is closed or /dev/null, else stderr.
// Under inetd, guardStderr has closed it or made it /dev/null.
func defaultLog() string {
	var null, log unix.Stat_t
	if unix.Stat(os.DevNull, &null) == nil && unix.Fstat(2, &log) == nil && (null.Dev != log.Dev || null.Ino != log.Ino) {
		return "stderr"
	}
	return "syslog"
}

// complain reports an error when there is no log: on standard error, or on the
// console if defaultLog is syslog.
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

// crashesTo sends the output of a crash of Go's runtime to the log.
func crashesTo(fd int) {
	if fd >= 0 && defaultLog() == "syslog" {
		_ = sockets.Dup(fd, 2) // after an error that output is lost
	}
}
