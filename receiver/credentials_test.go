package receiver

import (
	"strings"
	"testing"
)

// TestCredentials: whatever a client does with AUTH, its password is not logged.
func TestCredentials(t *testing.T) {
	for _, lines := range []string{
		"AUTH PLAIN AHRlc3QAc2VjcmV0\r\n",
		"auth plain AHRlc3QAc2VjcmV0\r\n",
		" AUTH PLAIN AHRlc3QAc2VjcmV0\r\n",
		"AUTH\tPLAIN AHRlc3QAc2VjcmV0\r\n",
		"AUTH PLAIN \x00test\x00AHRlc3QAc2VjcmV0\r\n",
		"AUTH LOGIN\r\ndGVzdA==\r\nAHRlc3QAc2VjcmV0\r\n",
		"AUTH\r\nAHRlc3QAc2VjcmV0\r\nEHLO c.test\r\n",
		"AUTH PLAIN AHRlc3QAc2VjcmV0 " + strings.Repeat("x", 3000) + "\r\n",
	} {
		s := newStage(t)
		conn := &reel{pieces: []string{"EHLO c.test\r\n" + lines + "NOOP\r\nQUIT\r\n"}}
		Serve(t.Context(), s.config, s.client, conn)
		if log := s.log.String(); strings.Contains(log, "AHRl") || !strings.Contains(log, "refused ") {
			t.Errorf("%q is logged as\n%s", lines, log)
		}
		if out := conn.out.String(); !strings.HasSuffix(out, "250 2.0.0 OK\r\n221 2.0.0 mx.local.test Closing connection\r\n") {
			t.Errorf("%q: %q", lines, out)
		}
	}
}
