//go:build system

package kit

import (
	"strings"
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

// InetdConf writes an inetd.conf with one line for smap: that of contrib/inetd, "wait" or "nowait", on another port and with
// paths of a test.
func InetdConf(t *testing.T, s *Site, port int, wait string) string {
	t.Helper()
	for line := range strings.Lines(ReadFile(t, Tree("contrib", "inetd", "inetd.conf"))) {
		f := strings.Fields(strings.TrimPrefix(line, "#"))
		if len(f) == 7 && f[0] == "smtp" && f[2] == "tcp" && (f[3] == wait || strings.HasPrefix(f[3], wait+".")) {
			f[0], f[5], f[6] = Local(port), Program(t, "smap"), f[6]+" -c "+s.Table
			return s.Write(s.File("inetd.conf"), strings.Join(f, "\t")+"\n", 0o644)
		}
	}
	t.Fatalf("contrib/inetd has no line with %s", wait)
	return ""
}
