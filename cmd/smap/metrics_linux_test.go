package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"smap/internal/eventlog"
)

// TestMetricsFile: a server counts what its clients do, by the lines that it logs
// itself, also where these go to standard error.
func TestMetricsFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "smap.prom")
	_, address := startServer(t, dir, "smap: deny-hosts 127.0.0.9\nsmap: smap-metrics "+path+"\n")
	talks := []string{
		"HELO c\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<bob@mx.example.com>\r\nDATA\r\nSubject: x\r\n\r\n.\r\nQUIT\r\n",
		"EHLO c\r\nMAIL FROM:<a@example.org>\r\nRCPT TO:<bob@elsewhere.test>\r\nXYZZY reply=\"4 rule=\"relay-hosts x\r\nQUIT\r\n",
		"HELO c\r\nDATA\r\nWIZ\r\n",
	}
	for _, text := range talks {
		if out, err := talkTo(address, text); err != nil {
			t.Fatalf("%q, %v", out, err)
		}
	}
	from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 9)}}
	denied, err := from.Dial("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	defer denied.Close()
	firstLine(t, denied)
	stays, err := net.Dial("tcp4", address)
	if err != nil {
		t.Fatal(err)
	}
	defer stays.Close()
	firstLine(t, stays)
	want := []string{
		`smap_connections_total{outcome="served"} 4`, `smap_connections_total{outcome="denied"} 1`, `smap_connections_total{outcome="busy"} 0`,
		"smap_sessions 1", "smap_messages_total 1", `smap_refusals_total{class="5yz",rule="local-domains"} 1`,
		`smap_refusals_total{class="5yz",rule="relay-hosts"} 0`, `smap_refusals_total{class="5yz",rule="none"} 3`,
		`smap_refusals_total{class="4yz",rule="none"} 0`, "smap_securityalerts_total 2", "smap_system_errors_total 0",
	}
	var text string
	for end := time.Now().Add(time.Minute); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		b, _ := os.ReadFile(path) // it appears after some seconds
		text = string(b)
		if missing(text, want) == nil {
			break
		}
	}
	for _, line := range missing(text, want) {
		t.Errorf("no line %s", line)
	}
	if !regexp.MustCompile(`(?m)^smap_octets_total [1-9]\d+$`).MatchString(text) {
		t.Errorf("no octets in\n%s", text)
	}
	// Prometheus' text format.
	line := regexp.MustCompile(`^(# (HELP|TYPE) smap_[a-z_]+ \S.*|smap_[a-z_]+(\{[a-z]+="[a-z0-9-]+"(,[a-z]+="[a-z0-9-]+")*\})? \d+)\n$`)
	for l := range strings.Lines(text) {
		if !line.MatchString(l) {
			t.Errorf("not of the format: %q", l)
		}
	}
	log, err := os.ReadFile(filepath.Join(dir, "log"))
	if err != nil || !regexp.MustCompile(`(?m)^\d{4}-\d\d-\d\dT\S+Z smap: connect client=127\.0\.0\.1 name=unknown$`).Match(log) {
		t.Errorf("%v; the log on standard error is\n%s", err, log)
	}
}

// missing are the lines that a text lacks.
func missing(text string, lines []string) []string {
	var found []string
	for _, l := range lines {
		if !strings.Contains("\n"+text, "\n"+l+"\n") {
			found = append(found, l)
		}
	}
	return found
}

// TestMetricsOfChildren: a child that ends has no sessions any more, and a new one
// begins its own count of clients that were turned away.
func TestMetricsOfChildren(t *testing.T) {
	m := &metrics{}
	first, second := m.child(), m.child()
	first.Line("connect client=192.0.2.1 name=unknown")
	first.Line("connect client=192.0.2.1 name=unknown")
	first.Line("busy client=192.0.2.1 limit=maxsessions refused=5")
	second.Line("connect client=192.0.2.1 name=unknown")
	second.Line("busy client=192.0.2.1 limit=maxsessions refused=2")
	second.Line("busy client=192.0.2.1 limit=maxsessions refused=4")
	second.Line("message may come twice client=192.0.2.1 id=x")
	second.Line(`message client=192.0.2.1 id=x sender="\"a size=7\"@example.org" recipients=1 size=100`)
	first.End()
	for range 2 { // the second line can only be a lie
		second.Line("exit client=192.0.2.1 why=221")
	}
	if m.sessions != 0 || m.served != 3 || m.busy != 9 || m.messages != 1 || m.octets != 100 {
		t.Errorf("%d sessions, %d served, %d busy, %d messages, %d octets", m.sessions, m.served, m.busy, m.messages, m.octets)
	}
}

// TestMetricsUnwritable: the log says it once.
func TestMetricsUnwritable(t *testing.T) {
	var log strings.Builder
	m := &metrics{log: eventlog.New(&log, "smap")}
	m.follow(filepath.Join(t.TempDir(), "none", "smap.prom"))
	for i := range 3 {
		m.child().Line(fmt.Sprint("connect client=192.0.2.", i))
		m.write()
	}
	if n := strings.Count(log.String(), "fwtksyserr: metrics error="); n != 1 {
		t.Errorf("%d lines:\n%s", n, log.String())
	}
}
