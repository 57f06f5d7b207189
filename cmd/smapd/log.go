package main

import (
	"io"
	"log/slog"

	"smap/internal/eventlog"
)

// newLogger opens the log that the rules ask for. A connection to syslog stays
// open as long as the process runs.
func newLogger(r *rules, stderr io.Writer) (*slog.Logger, error) {
	if r.logTo() != "syslog" {
		return eventlog.New(stderr, "smapd"), nil
	}
	log, _, err := eventlog.Open("syslog", "smapd")
	return log, err
}
