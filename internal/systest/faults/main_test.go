//go:build system

package faults

import (
	"os"
	"testing"

	"smap/internal/systest/kit"
)

func TestMain(m *testing.M) { os.Exit(kit.Main(m)) }
