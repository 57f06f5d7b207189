//go:build !lean

package main

import (
	"smap/internal/lookup"
	"smap/netperm"
)

func lookupMain() int { return lookup.Main() }

// handOver has nothing to do: this is the whole program.
func handOver(options, *netperm.Table) error { return nil }
