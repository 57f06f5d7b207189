package receiver

import (
	"bufio"
	"io"
	"strings"
	"testing"
	"time"
)

// TestEndlessCommands has a client that says something again and again, each time before its time is over, and so would hold
// its session for days: the commands of one message have a time of their own.
func TestEndlessCommands(t *testing.T) {
	for name, command := range map[string]string{"recipients": "RCPT TO:<b@local.test>\r\n", "chunks": "BDAT 1\r\nx"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.config.Timeout, s.config.MaxRecip, s.config.MinRate = 100*time.Millisecond, 1_000_000, 1000
			conn, wait := s.connect(t.Context())
			stop := make(chan struct{})
			go func() {
				defer conn.Close()
				_, err := io.WriteString(conn, "EHLO c.test\r\nMAIL FROM:<a@c.test>\r\nRCPT TO:<b@local.test>\r\n")
				for err == nil {
					select {
					case <-stop:
						return
					case <-time.After(10 * time.Millisecond):
						_, err = io.WriteString(conn, command)
					}
				}
			}()
			began, last := time.Now(), ""
			for in := bufio.NewReader(conn); ; {
				line, err := in.ReadString('\n')
				if err != nil {
					break
				}
				last = line
			}
			close(stop)
			wait()
			if !strings.HasPrefix(last, "421 4.4.2 ") {
				t.Errorf("the last reply is %q", last)
			}
			if took := time.Since(began); took > patience/2 {
				t.Errorf("it took %v", took)
			}
		})
	}
}
