package courier

import (
	"bufio"
	"net"
	"strings"
	"testing"
	"time"

	"smap/courier/agent"
)

// TestServersTakeTheirTime: agent-timeout is for programs. A server that needs longer than
// that for a message gets it once, and is not called again and again.
func TestServersTakeTheirTime(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go slowly(conn)
		}
	}()
	a, err := agent.NewSMTP(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	a.TLS = agent.TLSNone
	b := newBench(t, a)
	b.cfg.AgentTimeout = 20 * time.Millisecond
	b.message("x\n")
	if err := b.once(); err != nil {
		t.Error(err)
	}
	if n := b.log.count("msg=delivered"); n != 1 || b.log.count("msg=deferred") != 0 || !b.empty() {
		t.Errorf("delivered %d times, left %v", n, b.names("cur"))
	}
}

// slowly is a server that lets its client wait at the beginning and at the end.
func slowly(conn net.Conn) {
	defer conn.Close()
	const wait = 200 * time.Millisecond
	say := func(text string) { _, _ = conn.Write([]byte(text + "\r\n")) } // the client notices
	time.Sleep(wait)
	say("220 slow.test")
	content := false
	for in := bufio.NewScanner(conn); in.Scan(); {
		switch line := in.Text(); {
		case content && line != ".":
		case content:
			content = false
			time.Sleep(wait)
			say("250 taken")
		case strings.HasPrefix(line, "DATA"):
			content = true
			say("354 go")
		default:
			say("250 ok")
		}
	}
}
