//go:build system

package hostile

import (
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// TestInetdFlood has 1,000 clients connect to an inetd as fast as it starts processes, and none of them leaves. No more
// than maxsessions are greeted, all others hear 421, and only the processes of those that were greeted are left.
func TestInetdFlood(t *testing.T) {
	t.Parallel()
	const clients = 1000
	s := kit.NewSite(t)
	s.Rules("smap: hostname mx.system.test", "smap: maxsessions 10", "smap: local-domains system.test", "smap: log-required no", "smap: sessions-file "+s.File("sessions"))
	port := kit.StartInetd(t, s)
	began := time.Now()
	var mu sync.Mutex
	var wg sync.WaitGroup
	greeted := 0
	var ends []time.Duration      // of the refused: from 421 to the process's end
	places := make(chan bool, 40) // fewer than a socket's backlog, beyond which the system resets connections
	for range clients {
		places <- true
		wg.Go(func() {
			defer func() { <-places }()
			conn, err := net.DialTimeout("tcp4", kit.Local(port), time.Minute)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { conn.Close() })
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Error(err)
			}
			line := make([]byte, 100)
			n, err := conn.Read(line)
			heard := time.Now()
			if strings.HasPrefix(string(line[:n]), "421 ") {
				_, err = io.Copy(io.Discard, conn) // no one else has the connection: it ends with the process
			}
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err != nil:
				t.Errorf("after %q: %v", line[:n], err)
			case strings.HasPrefix(string(line[:n]), "220 "):
				greeted++
			case strings.HasPrefix(string(line[:n]), "421 "):
				ends = append(ends, time.Since(heard))
			default:
				t.Errorf("neither 220 nor 421: %q", line[:n])
			}
		})
	}
	wg.Wait()
	if greeted != 10 || len(ends) != clients-10 {
		t.Fatalf("%d were greeted and %d refused", greeted, len(ends))
	}
	slices.Sort(ends)
	t.Logf("%v for %d connections; refused processes ended %v after their 421 at the median, %v at most",
		time.Since(began), clients, ends[len(ends)/2], ends[len(ends)-1])
	if most := ends[len(ends)*99/100]; most > time.Second { // the last hundredth is the machine's
		t.Errorf("a refused process ended %v after its 421", most)
	}
	if !kit.Eventually(20*time.Second, func() bool { return len(kit.Processes(t, "smap", s.Table)) == 10 }) {
		t.Errorf("%d processes are left", len(kit.Processes(t, "smap", s.Table)))
	}
}
