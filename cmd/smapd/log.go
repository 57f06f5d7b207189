package main

import (
	"fmt"
	"io"
	"log/slog"

	"smap/internal/eventlog"
)

// startLog is newLogger at the start of smapd: it logs the warnings about the rules
// first. If it returns nil, it has printed the reason.
func startLog(r *rules, stderr io.Writer) *slog.Logger {
	log, err := newLogger(r, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "smapd:", err)
		return nil
	}
	for _, w := range r.warnings() {
		log.Warn(eventConfig, "warning", w.Error())
	}
	return log
}

// newLogger opens the log that the rules ask for. A connection to syslog stays
// open as long as the process runs.
func newLogger(r *rules, stderr io.Writer) (*slog.Logger, error) {
	if r.logTo() != "syslog" {
		return eventlog.New(stderr, "smapd"), nil
	}
	log, _, err := eventlog.Open("syslog", "smapd")
	return log, err
}
