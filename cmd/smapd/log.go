package main

import (
	"io"
	"log/slog"
)

// newLogger opens the log that the rules ask for.
func newLogger(_ *rules, stderr io.Writer) (*slog.Logger, error) {
	return slog.New(slog.NewTextHandler(stderr, nil)), nil
}
