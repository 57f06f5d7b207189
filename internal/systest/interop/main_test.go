//go:build system

package interop

import (
	"os"
	"testing"

	"smap/internal/systest/kit"
)

func TestMain(m *testing.M) { os.Exit(kit.Main(m)) }
