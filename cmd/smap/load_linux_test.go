package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestManyConnections opens 2,000 connections at once: 1,900 sessions, and 100
// clients that must hear 421 quickly. All of it in 64 MiB.
func TestManyConnections(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	const sessions, clients = 1900, 2000
	dir := t.TempDir()
	server, address := startServer(t, dir, fmt.Sprintf("smap: maxsessions %d\nsmap: maxperclient %d\n", sessions, clients))
	began := time.Now()
	var conns []net.Conn
	defer func() {
		for _, c := range conns {
			c.Close()
		}
	}()
	for range clients {
		c, err := net.Dial("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		conns = append(conns, c)
	}
	served, refused := 0, 0
	for _, c := range conns {
		switch line := firstLine(t, c); {
		case strings.HasPrefix(line, "220 "):
			served++
			// Something to keep: each session has said EHLO.
			if _, err := c.Write([]byte("EHLO client.example.org\r\n")); err != nil {
				t.Fatal(err)
			}
		case strings.HasPrefix(line, "421 "):
			refused++
		default:
			t.Fatalf("neither 220 nor 421: %q", line)
		}
	}
	took := time.Since(began)
	if served != sessions || refused != clients-sessions {
		t.Errorf("%d served, %d refused", served, refused)
	}
	for _, c := range conns[:sessions] {
		firstLine(t, c)
	}
	resident, most := memory(t, server, "VmRSS"), memory(t, server, "VmHWM")
	t.Logf("%d connections in %v; resident %d KiB, at most %d KiB", clients, took, resident, most)
	if most > 64<<10 {
		t.Errorf("%d KiB resident with %d connections", most, clients)
	}
}

// startServer starts smap -listen on some port until the test ends. It returns
// the pid of the process that serves, and its address.
func startServer(t *testing.T, dir, rules string) (pid int, address string) {
	t.Helper()
	bin, table := install(t, dir, rules)
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(bin, "-c", table, "-listen", "127.0.0.1:0", "-log", "stderr")
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		b, err := os.ReadFile(log.Name())
		if err != nil {
			t.Fatal(err)
		}
		_, after, ok := strings.Cut(string(b), ": ready pid=")
		if !ok || !strings.Contains(after, "\n") {
			continue
		}
		_, listen, _ := strings.Cut(string(b), ": listen address=")
		if pid, err = strconv.Atoi(strings.Fields(after)[0]); err != nil {
			t.Fatal(err)
		}
		return pid, strings.Fields(listen)[0]
	}
	t.Fatal("the server does not start")
	return 0, ""
}

// memory is a value in KiB of a process.
func memory(t *testing.T, pid int, key string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), "\n"+key+":")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestDeniedAtAccept: clients whose addresses are denied hear so and take no place,
// however many of them stay, while another client needs the only one.
func TestDeniedAtAccept(t *testing.T) {
	_, address := startServer(t, t.TempDir(), "smap: maxsessions 1\nsmap: deny-hosts 127.0.0.9\n")
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	for range 50 {
		c, err := from.Dial("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if line := firstLine(t, c); !strings.HasPrefix(line, "554 ") {
			t.Fatalf("a denied client hears %q", line)
		}
	}
	c, err := net.Dial("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if line := firstLine(t, c); !strings.HasPrefix(line, "220 ") {
		t.Errorf("beside 50 denied clients another one hears %q", line)
	}
}
