package courier

import (
	"bufio"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"smap/courier/agent"
)

// A lineServer takes contents whose lines have at most that many octets; 0 is no limit.
type lineServer struct {
	lmtp  bool
	most  int
	early bool // it does not wait for the end of the content
	took  chan string
}

// serve answers one client.
func (s *lineServer) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReader(conn)
	rcpts := 0
	fmt.Fprint(conn, "220 lines.test\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		reply := "250 lines.test"
		switch verb := strings.ToUpper(line[:4]); verb {
		case "RCPT":
			rcpts++
		case "DATA":
			fmt.Fprint(conn, "354 go\r\n")
			if reply, err = s.content(r); err != nil {
				return
			}
			n := 1
			if s.lmtp {
				n = rcpts
			}
			reply, rcpts = strings.TrimSuffix(strings.Repeat(reply+"\r\n", n), "\r\n"), 0
		}
		fmt.Fprint(conn, reply+"\r\n")
		if strings.HasPrefix(reply, "500") {
			return
		}
	}
}

// content returns what Exim says after the dot or, early, what OpenSMTPD says at the line.
func (s *lineServer) content(r *bufio.Reader) (reply string, err error) {
	var all strings.Builder
	reply = "250 2.0.0 taken"
	for {
		line, err := r.ReadString('\n')
		switch {
		case err != nil:
			return "", err
		case line == ".\r\n":
			s.took <- all.String()
			return reply, nil
		case s.most > 0 && len(line) > s.most+2 && s.early:
			return "500 5.0.0 Line too long", nil
		case s.most > 0 && len(line) > s.most+2:
			reply = fmt.Sprintf("550 5.6.0 maximum allowed line length is %d octets, got %d", s.most, len(line)-2)
		}
		all.WriteString(line)
	}
}

func (s *lineServer) start(t *testing.T) *agent.Remote {
	t.Helper()
	l, err := net.Listen("unix", filepath.Join(t.TempDir(), "s"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serve(conn)
		}
	}()
	create := agent.NewSMTP
	if s.lmtp {
		create = agent.NewLMTP
	}
	a, err := create(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// TestLongLine: a line of more than 998 octets is passed on as it is. A server takes the
// message, or refuses it like any other: then its reason is in the log and in the report.
func TestLongLine(t *testing.T) {
	t.Parallel()
	line := strings.Repeat("0123456789", 120)
	for i, c := range []struct {
		server lineServer
		reason string
		status string
	}{
		{lineServer{}, "", ""},
		{lineServer{most: 998}, "550 5.6.0 maximum allowed line length is 998 octets, got 1200", "5.6.0"},
		{lineServer{most: 998, early: true}, "500 5.0.0 Line too long", "5.0.0"},
	} {
		for _, lmtp := range []bool{false, true} {
			t.Run(fmt.Sprintf("server %d lmtp %v", i, lmtp), func(t *testing.T) {
				t.Parallel()
				s := c.server
				s.lmtp, s.took = lmtp, make(chan string, 1)
				b := newBench(t, s.start(t))
				var reports tally
				b.cfg.Bounce, b.cfg.BounceAgent = true, agentFunc(reports.Deliver)
				b.message("Subject: x\n\n"+line+"\n", "b@x.test")
				if err := b.once(); err != nil || !b.empty() || len(b.names("bad")) != 0 {
					t.Fatalf("%v; left %v, bad %v", err, b.names("cur"), b.names("bad"))
				}
				var got string
				select {
				case got = <-s.took: // before its reply
				default:
				}
				if !s.early && got != "Subject: x\r\n\r\n"+line+"\r\n" {
					t.Errorf("the server got %q", got)
				}
				if c.reason == "" {
					if b.log.count("msg=delivered") != 1 || reports.len() != 0 {
						t.Error("it is not just delivered")
					}
					return
				}
				if b.log.count("msg=failed") != 1 || b.log.count(`text="end of DATA: `+c.reason+`"`) != 1 || reports.len() != 1 {
					t.Fatalf("%d reports", reports.len())
				}
				for report := range reports.n {
					if !strings.Contains(report, "\nStatus: "+c.status+"\n") || !strings.Contains(report, "\nDiagnostic-Code: smtp; "+c.reason+"\n") {
						t.Errorf("%s", report)
					}
				}
			})
		}
	}
}
