package agent

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"smap/spoolfmt/envelope"
)

// A slowServer takes content at a pace, and answers the final dot late. It counts what
// it took.
type slowServer struct {
	pause    time.Duration // after each 64 KiB
	verdict  time.Duration // before the answer to the final dot
	hangs    bool          // reads no content at all
	accepted atomic.Int64
}

func (s *slowServer) listen(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
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
			_ = conn.(*net.TCPConn).SetReadBuffer(64 << 10)
			go s.serve(conn)
		}
	}()
	return l.Addr().String()
}

func (s *slowServer) serve(conn net.Conn) {
	defer conn.Close()
	r := bufio.NewReaderSize(conn, 64<<10)
	fmt.Fprintf(conn, "220 a\r\n")
	for {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		if !strings.HasPrefix(line, "DATA") {
			fmt.Fprintf(conn, "250 ok\r\n")
			continue
		}
		fmt.Fprintf(conn, "354 go\r\n")
		if s.hangs {
			time.Sleep(time.Minute)
			return
		}
		for n := 0; line != ".\r\n"; {
			if line, err = r.ReadString('\n'); err != nil {
				return
			}
			n += len(line)
			if n > 64<<10 {
				time.Sleep(s.pause)
				n = 0
			}
		}
		time.Sleep(s.verdict)
		s.accepted.Add(1)
		fmt.Fprintf(conn, "250 queued\r\n")
	}
}

// TestStandardLimits: what RFC 5321 4.5.3.2 wants at least, and bounds on the whole; and
// that a stop, 20 seconds and the end of an agent, is shorter than the minute after which
// smapd's parent kills.
func TestStandardLimits(t *testing.T) {
	want := limits{greeting: 5 * time.Minute, command: 5 * time.Minute, data: 2 * time.Minute, block: 3 * time.Minute,
		final: 10 * time.Minute, open: 15 * time.Minute, call: time.Hour}
	a, err := NewSMTP("mx.test")
	if err != nil || a.limits != want {
		t.Errorf("%+v, want %+v; %v", a.limits, want, err)
	}
	if d := a.limits.whole(100 << 20); d > 30*time.Hour {
		t.Errorf("a tarpit keeps 100 MiB for %v", d)
	}
	if end := killGrace + stayGrace; end > 10*time.Second {
		t.Errorf("the end of an agent takes %v", end)
	}
}

// TestSlowLine: a message that takes many times as long as any limit is delivered,
// once: each limit is for one step, and progress renews it.
func TestSlowLine(t *testing.T) {
	s := &slowServer{pause: 100 * time.Millisecond, verdict: 300 * time.Millisecond}
	a, err := NewSMTP(s.listen(t))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	a.limits.block, a.limits.final, a.limits.command = 2*time.Second, 10*time.Second, 2*time.Second
	began := time.Now()
	r, err := a.Deliver(t.Context(), job(t, strings.Repeat("0123456789abcde\n", 4<<16), "b@x.test"))
	if err != nil || r[0].Outcome != Delivered || s.accepted.Load() != 1 {
		t.Errorf("%+v %v, accepted %d times", r, err, s.accepted.Load())
	}
	if took := time.Since(began); took < 2*a.limits.block {
		t.Errorf("took %v: too fast to show anything", took)
	}
}

// TestNoProgress: a server that does not go on is given up after the limit of the step
// that it is at.
func TestNoProgress(t *testing.T) {
	s := &slowServer{hangs: true}
	a, err := NewSMTP(s.listen(t))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	a.limits.block = 200 * time.Millisecond
	r, err := a.Deliver(t.Context(), job(t, strings.Repeat("0123456789abcde\n", 8<<16), "b@x.test"))
	if err != nil || r[0].Outcome != Retry || !strings.Contains(r[0].Text, "timeout") {
		t.Errorf("content: %+v %v", r, err)
	}
	for step, session := range map[string]string{
		"greeting": "WAIT",
		"MAIL":     "S: 220 a\nC: EHLO\nS: 250 a\nC: MAIL\nWAIT",
	} {
		a := scripted(t, session)
		a.limits.greeting, a.limits.command = 100*time.Millisecond, 100*time.Millisecond
		began := time.Now()
		r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test"))
		if err == nil && r[0].Outcome != Retry || time.Since(began) > 10*time.Second {
			t.Errorf("%s: %+v %v after %v", step, r, err, time.Since(began))
		}
	}
}

// TestTarpit: a server that makes a little progress all the time is given up at last.
func TestTarpit(t *testing.T) {
	s := &slowServer{pause: 20 * time.Millisecond}
	a, err := NewSMTP(s.listen(t))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	const size = 8 << 20
	a.limits.call = 300*time.Millisecond - size/leastRate*time.Second // without the content's own time
	r, err := a.Deliver(t.Context(), job(t, strings.Repeat("0123456789abcde\n", size/16), "b@x.test"))
	if err != nil || r[0].Outcome != Retry || s.accepted.Load() != 0 {
		t.Errorf("%+v %v, accepted %d times", r, err, s.accepted.Load())
	}
}

// TestNextServer: of several servers, the first that can be reached is used, also
// when one answers with a refusal.
func TestNextServer(t *testing.T) {
	_, good := serve(t, false)
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := dead.Addr().String()
	dead.Close()
	refuses := scripted(t, "S: 421 too many connections\n")
	a, err := NewSMTP(strings.Join([]string{address, refuses.servers[0].address, good.servers[0].address}, ","))
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test"))
	if err != nil || r[0].Outcome != Delivered {
		t.Errorf("%+v %v", r, err)
	}
	if _, err := NewSMTP("a,,b"); err == nil {
		t.Error("an empty address is accepted")
	}
}

// TestTooManyRecipients: recipients that are too many for one transaction get another
// one at once.
func TestTooManyRecipients(t *testing.T) {
	a := scripted(t, `S: 220 mx.test
C: EHLO
S: 250 mx.test
C: MAIL
S: 250 ok
C: RCPT TO:<a@x.test>
S: 250 ok
C: RCPT TO:<b@x.test>
S: 452 4.5.3 too many recipients
C: RCPT TO:<c@x.test>
S: 452 4.5.3 too many recipients
C: DATA
S: 354 go
C: x
C: .
S: 250 taken
C: MAIL
S: 250 ok
C: RCPT TO:<b@x.test>
S: 250 ok
C: RCPT TO:<c@x.test>
S: 452 4.5.3 too many recipients
C: DATA
S: 354 go
C: x
C: .
S: 250 taken
C: MAIL
S: 250 ok
C: RCPT TO:<c@x.test>
S: 452 4.3.1 no room
C: RSET
S: 250 ok
WAIT`)
	r, err := a.Deliver(t.Context(), job(t, "x\n", "a@x.test", "b@x.test", "c@x.test"))
	if err != nil || r[0].Outcome != Delivered || r[1].Outcome != Delivered || r[2].Outcome != Retry || !strings.Contains(r[2].Text, "no room") {
		t.Errorf("%+v %v", r, err)
	}
}

// TestProxyHeader: the header of the PROXY protocol, octet for octet.
func TestProxyHeader(t *testing.T) {
	const signature = "\r\n\r\n\x00\r\nQUIT\n"
	to := &net.TCPAddr{IP: net.IPv4(192, 0, 2, 9), Port: 25}
	for client, want := range map[string]string{
		"":            "\x20\x00\x00\x00",
		"unknown":     "\x20\x00\x00\x00",
		"192.0.2.1":   "\x21\x11\x00\x0c\xc0\x00\x02\x01\xc0\x00\x02\x09\x00\x00\x00\x19",
		"2001:db8::1": "\x21\x21\x00\x24\x20\x01\x0d\xb8" + strings.Repeat("\x00", 11) + "\x01" + strings.Repeat("\x00", 10) + "\xff\xff\xc0\x00\x02\x09\x00\x00\x00\x19",
	} {
		if got := proxyHeader(client, to); string(got) != signature+want {
			t.Errorf("%q: %q", client, got)
		}
	}
	if got := proxyHeader("192.0.2.1", &net.UnixAddr{}); !bytes.HasPrefix(got, []byte(signature+"\x21\x11")) {
		t.Errorf("a socket: %q", got)
	}
}

// TestProxyConnections: each client has a connection of its own.
func TestProxyConnections(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heads := make(chan string, 10)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				head := make([]byte, 28)
				if _, err := conn.Read(head); err == nil {
					heads <- net.IP(head[16:20]).String()
				}
				plaintextOnly(conn)
			}()
		}
	}()
	a, err := NewSMTP(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	a.Proxy, a.TLS = true, TLSNone
	for _, client := range []string{"192.0.2.1", "192.0.2.2", "192.0.2.2"} {
		j := job(t, "x\n", "b@x.test")
		if err := j.Envelope.Set("Client-Address", client); err != nil {
			t.Fatal(err)
		}
		if r, err := a.Deliver(t.Context(), j); err != nil || r[0].Outcome != Delivered {
			t.Fatalf("%+v %v", r, err)
		}
	}
	close(heads)
	var got []string
	for h := range heads {
		got = append(got, h)
	}
	if strings.Join(got, " ") != "192.0.2.1 192.0.2.2" {
		t.Errorf("connections for %v", got)
	}
}

// TestUTF8Original: an original recipient of type utf-8 goes only to a server with
// SMTPUTF8.
func TestUTF8Original(t *testing.T) {
	for extensions, want := range map[string]string{
		"S: 250-mx.test\nS: 250 DSN":                  "RCPT TO:<b@x.test> NOTIFY=NEVER$",
		"S: 250-mx.test\nS: 250-SMTPUTF8\nS: 250 DSN": `RCPT TO:<b@x.test> NOTIFY=NEVER ORCPT=utf-8;\x{e9}@x.test$`,
	} {
		a := scripted(t, "S: 220 mx.test\nC: EHLO\n"+extensions+"\nC: MAIL\nS: 250 ok\nC: "+want+"\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 taken\nWAIT")
		j := job(t, "x\n", "b@x.test")
		j.Recipients[0].Params = []envelope.Param{{Keyword: "NOTIFY", Value: "NEVER", HasValue: true}, {Keyword: "ORCPT", Value: `utf-8;\x{e9}@x.test`, HasValue: true}}
		if r, err := a.Deliver(t.Context(), j); err != nil || r[0].Outcome != Delivered {
			t.Errorf("%+v %v", r, err)
		}
	}
}

// TestClientRefused: a server that refuses the client, or hangs up or falls silent when it
// hears who that is, refuses one message. It does not stop all mail.
func TestClientRefused(t *testing.T) {
	const hello = "S: 220 sink.test\nC: EHLO me.test\nS: 250-sink.test\nS: 250 XCLIENT ADDR\nC: XCLIENT\n"
	for _, c := range []struct {
		client string
		proxy  bool
		say    string
		want   string // empty: all mail waits
	}{
		{"192.0.2.1", true, "S: 554 5.7.1 you are listed", "5.7.1 you are listed"},
		{"192.0.2.1", true, "S: 450 4.7.1 later", "4.7.1 later"},
		{"192.0.2.1", true, "", "ended the session"},
		{"192.0.2.1", true, "S: 220 sink.test\nC:\nS: 550 5.7.1 listed\nC: HELO\nS: 550 5.7.1 listed", "5.7.1 listed"},
		{"192.0.2.1", true, "S: 220 sink.test\nC:", "ended the session"},
		{"192.0.2.1", true, "WAIT", "fell silent"},
		{"192.0.2.1", true, "S: 421 4.3.2 busy", ""},
		{"", true, "S: 554 5.7.1 you are listed", ""},
		{"", true, "", ""},
		{"", true, "WAIT", ""},
		{"192.0.2.1", false, hello, "ended the session"},
		{"192.0.2.1", false, hello + "S: 220 sink.test\nC: EHLO", "ended the session"},
		{"192.0.2.1", false, hello + "WAIT", "fell silent"},
		{"192.0.2.1", false, "S: 554 5.7.1 not you", ""},
	} {
		say := c.say
		if c.proxy {
			say = "C:\nC:\nC:\nC:\n" + c.say // the header's signature has four line ends; its rest comes with EHLO
		}
		a := scripted(t, say)
		a.TLS, a.Proxy, a.XClient = TLSNone, c.proxy, !c.proxy
		if strings.HasSuffix(say, "WAIT") { // other cases must not meet it on a slow machine
			a.limits.greeting, a.limits.command = 2*time.Second, 2*time.Second
		}
		j := job(t, "x\n", "b@x.test")
		if c.client != "" {
			if err := j.Envelope.Set("Client-Address", c.client); err != nil {
				t.Fatal(err)
			}
		}
		r, err := a.Deliver(t.Context(), j)
		var start *StartError
		if c.want == "" {
			if !errors.As(err, &start) {
				t.Errorf("%+v: %+v %v", c, r, err)
			}
		} else if err != nil || r[0].Outcome != Retry || !strings.Contains(r[0].Text, c.want) {
			t.Errorf("%+v: %+v %v", c, r, err)
		}
		a.Close()
	}
}
