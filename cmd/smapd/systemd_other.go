//go:build !linux

package main

import (
	"log/slog"
	"os"
	"time"
)

// A manager would be the service manager that started us; systemd runs on Linux
// alone.
type manager struct{ log *slog.Logger }

func beat() time.Duration { return 0 }

func (m *manager) alive()    {}
func (m *manager) stopping() {}
func (m *manager) ready()    {}
func (m *manager) reload()   {}
func (m *manager) reloaded() {}

func (m *manager) signals(in <-chan os.Signal) <-chan os.Signal { return in }
