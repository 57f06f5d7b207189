//go:build system && guests

package guests

import (
	"os"
	"testing"

	"smap/internal/systest/kit"
)

func TestMain(m *testing.M) { os.Exit(kit.Main(m)) }
