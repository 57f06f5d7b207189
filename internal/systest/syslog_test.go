//go:build system

package systest

import (
	"net"
	"os"
	"strings"
	"sync"
	"testing"
)

// syslogd stands where the system's log daemon would: it keeps every line written to /dev/log.
type syslogd struct {
	mu    sync.Mutex
	lines []string
}

// systemLog is the log of this machine.
var systemLog = sync.OnceValues(func() (*syslogd, error) { return listenLog("/dev/log") })

// listenLog keeps what is logged to that socket. Programs in a root have a /dev/log of their own.
func listenLog(socket string) (*syslogd, error) {
	// A machine to throw away: whatever stood there is not needed again.
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(socket, 0o666); err != nil {
		return nil, err
	}
	s := &syslogd{}
	go func() {
		b := make([]byte, 65536)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.lines = append(s.lines, string(b[:n]))
			s.mu.Unlock()
		}
	}()
	return s, nil
}

func syslog(t *testing.T) *syslogd {
	t.Helper()
	s, err := systemLog()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// find gives the lines with all of these words.
func (s *syslogd) find(words ...string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var found []string
next:
	for _, line := range s.lines {
		for _, w := range words {
			if !strings.Contains(line, w) {
				continue next
			}
		}
		found = append(found, line)
	}
	return found
}
