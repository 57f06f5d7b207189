//go:build system

package systest

import (
	"fmt"
	"testing"
)

// startInetd starts openbsd-inetd with smap on a free port, as the manual's inetd.conf line has it.
func startInetd(t *testing.T, s *site) int {
	t.Helper()
	port := freePort(t)
	conf := s.write(s.file("inetd.conf"), fmt.Sprintf("127.0.0.1:%d stream tcp nowait root %s smap -c %s\n",
		port, program(t, "smap"), s.table), 0o644)
	start(t, "inetd", "-i", "-R", "1000000", conf)
	listening(t, port)
	return port
}
