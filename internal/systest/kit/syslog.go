//go:build system

package kit

import (
	"net"
	"os"
	"strings"
	"sync"
	"testing"
)

// Syslogd stands where the system's log daemon would: it keeps every line written to /dev/log.
type Syslogd struct {
	mu    sync.Mutex
	lines []string
}

// systemLog is the log of this machine.
var systemLog = sync.OnceValues(func() (*Syslogd, error) { return listenLog("/dev/log") })

// listenLog keeps what is logged to that socket. Programs in a root have a /dev/log of their own.
func listenLog(socket string) (*Syslogd, error) {
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
	s := &Syslogd{}
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

// Syslog listens on /dev/log for the length of a test.
func Syslog(t *testing.T) *Syslogd {
	t.Helper()
	s, err := systemLog()
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Find gives the lines with all of these words.
func (s *Syslogd) Find(words ...string) []string {
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
