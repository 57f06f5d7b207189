//go:build system

package hostile

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"smap/internal/systest/kit"

	"golang.org/x/sys/unix"
)

// The load: so many sessions at once, from so many clients, of which so many finish their message.
const (
	loadSessions = 2000
	loadClients  = 80
	loadFinish   = 200
	loadMemory   = 64 << 10 // KiB resident, at most
)

// TestLoad has 2,000 clients in the middle of a message at once. smap stays in its memory, sends away who is too many,
// and accepts the messages of those who finish.
func TestLoad(t *testing.T) {
	t.Parallel()
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		t.Fatal(err)
	}
	if limit.Cur < 3*loadSessions {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 3 * loadSessions, Max: max(limit.Max, 3*loadSessions)}); err != nil {
			t.Fatal(err)
		}
	}
	p := kit.NewPeer(t, fmt.Sprint("smap: maxsessions ", loadSessions), fmt.Sprint("smap: maxperclient ", loadSessions/loadClients))
	if !kit.Eventually(5*time.Second, func() bool { return p.Sessions() == 0 }) {
		t.Fatal("the first session stays")
	}
	began := time.Now()
	all := make([]*kit.SMTPConn, loadSessions)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() {
			var err error
			if all[i], err = halfMessage(t, p, i); err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		})
	}
	wg.Wait()
	if t.Failed() {
		return
	}
	t.Logf("%d sessions in DATA after %v, VmHWM %d KiB", loadSessions, time.Since(began).Round(time.Millisecond), kit.Memory(t, p.Child(t), "VmHWM"))
	if n := p.Count("tmp"); n < loadSessions {
		t.Errorf("%d messages are on their way, want %d", n, loadSessions)
	}
	sentAway(t, p, "127.0.2.1", "limit=maxsessions")

	// The last ones vanish, and there is room again, but not for a client that has enough.
	for _, c := range all[len(all)-100:] {
		c.Close()
	}
	if !kit.Eventually(20*time.Second, func() bool { return p.Sessions() == loadSessions-100 }) {
		t.Errorf("%d sessions, want %d", p.Sessions(), loadSessions-100)
	}
	sentAway(t, p, clientAddress(0), "limit=maxperclient")

	for _, c := range all[:loadFinish] {
		wg.Go(func() {
			if _, err := c.Write([]byte("\r\n.\r\n")); err != nil {
				t.Error(err)
				return
			}
			if line, err := c.In.ReadString('\n'); err != nil || !strings.HasPrefix(line, "250 2.0.0 Mail accepted") {
				t.Errorf("at the end came %q, %v", line, err)
			}
		})
	}
	wg.Wait()
	for _, c := range all {
		c.Close()
	}
	if !kit.Eventually(20*time.Second, func() bool { return p.Count("tmp") == 0 }) {
		t.Errorf("left in tmp/: %d files", p.Count("tmp"))
	}
	p.SpooledFor("load-", loadFinish, 0)
	most, threads := kit.Memory(t, p.Child(t), "VmHWM"), kit.Memory(t, p.Child(t), "Threads")
	t.Logf("VmHWM at the end %d KiB, %d threads", most, threads)
	if most > loadMemory {
		t.Errorf("smap took %d KiB, more than %d", most, loadMemory)
	}
	// Those that wait for the disk are bounded.
	if threads > 100 {
		t.Errorf("smap has %d threads", threads)
	}
}

// clientAddress is that of the client with this number.
func clientAddress(i int) string { return fmt.Sprintf("127.0.1.%d", 1+i*loadClients/loadSessions) }

func dialFrom(p *kit.Peer, address string) (net.Conn, error) {
	d := net.Dialer{Timeout: time.Minute, LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}}
	return d.Dial("tcp", kit.Local(p.Port))
}

// halfMessage goes as far as the middle of a message.
func halfMessage(t *testing.T, p *kit.Peer, i int) (*kit.SMTPConn, error) {
	conn, err := dialFrom(p, clientAddress(i))
	if err != nil {
		return nil, err
	}
	c := kit.NewConn(t, conn)
	for _, step := range []struct{ say, want string }{
		{"", "220 "}, {"EHLO client.test", "250"}, {"MAIL FROM:<" + kit.FromAddress + ">", "250 "},
		{fmt.Sprintf("RCPT TO:<load-%d@system.test>", i), "250 "}, {"DATA", "354 "},
	} {
		if step.say != "" {
			if _, err := c.Write([]byte(step.say + "\r\n")); err != nil {
				return nil, err
			}
		}
		line := "250-"
		for strings.HasPrefix(line, "250-") {
			if line, err = c.In.ReadString('\n'); err != nil {
				return nil, err
			}
		}
		if !strings.HasPrefix(line, step.want) {
			return nil, fmt.Errorf("to %q came %q", step.say, line)
		}
	}
	_, err = c.Write([]byte("Subject: load\r\n\r\n" + strings.Repeat("half a message\r\n", 500)))
	return c, err
}

// sentAway wants ten clients from there to hear 421 at once, each.
func sentAway(t *testing.T, p *kit.Peer, address, fact string) {
	t.Helper()
	time.Sleep(1100 * time.Millisecond) // the log tells of such clients once a second
	for range 10 {
		began := time.Now()
		conn, err := dialFrom(p, address)
		if err != nil {
			t.Fatal(err)
		}
		err = conn.SetDeadline(time.Now().Add(time.Minute))
		line, rerr := bufio.NewReader(conn).ReadString('\n')
		if err := errors.Join(err, rerr, conn.Close()); err != nil || !strings.HasPrefix(line, "421 mx.system.test ") {
			t.Errorf("one too many hears %q, %v", line, err)
		}
		if took := time.Since(began); took > 5*time.Second {
			t.Errorf("421 took %v", took)
		}
	}
	p.Logged(t, "busy client="+address+" ", fact)
}
