//go:build system

package kit

import (
	"fmt"
	"testing"
)

// StartInetd starts openbsd-inetd with smap on a free port, as the manual's inetd.conf line has it.
func StartInetd(t *testing.T, s *Site) int {
	t.Helper()
	port := FreePort(t)
	Start(t, "inetd", "-i", "-R", "1000000", InetdConf(t, s, port, "nowait"))
	Listening(t, port)
	return port
}

// InetdConf writes an inetd.conf with one line for smap.
func InetdConf(t *testing.T, s *Site, port int, wait string) string {
	t.Helper()
	return s.Write(s.File("inetd.conf"), fmt.Sprintf("127.0.0.1:%d stream tcp %s root %s smap -c %s\n",
		port, wait, Program(t, "smap"), s.Table), 0o644)
}
