package main

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestRecipientsCost: clients that ask for unknown recipients without a pause take
// no more of the processor's time where 100,000 are known than where one is.
func TestRecipientsCost(t *testing.T) {
	if testing.Short() {
		t.Skip("takes seconds")
	}
	few, many := floodCost(t, 1), floodCost(t, 100_000)
	t.Logf("%d ticks with one recipient, %d with 100,000", few, many)
	if many > 3*few+20 { // a fifth of a second is for what else the process does
		t.Errorf("the same questions take %d ticks of the processor's time instead of %d", many, few)
	}
}

// floodCost is the time, in ticks, that a server with so many known recipients
// takes for 10,000 questions.
func floodCost(t *testing.T, known int) int {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	recipients := filepath.Join(dir, "recipients")
	var list bytes.Buffer
	for i := range known {
		fmt.Fprintf(&list, "user%06d@mx.example.com\n", i)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(recipients, list.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	server, address := startServer(t, dir, "smap: recipients "+recipients+"\n")
	before := ticks(t, server)
	text := "EHLO c\r\nMAIL FROM:<a@example.org>\r\n" + strings.Repeat("RCPT TO:<firstname.lastname@mx.example.com>\r\n", 100) + "QUIT\r\n"
	for range 100 {
		conn, err := net.Dial("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		firstLine(t, conn)
		if _, err := io.WriteString(conn, text); err != nil {
			t.Fatal(err)
		}
		if out, err := io.ReadAll(conn); err != nil || strings.Count(string(out), "User unknown") != 100 {
			t.Fatalf("%v: %.1000s", err, out)
		}
		conn.Close()
	}
	return ticks(t, server) - before
}

// ticks is the time that a process has had of the processor.
func ticks(t *testing.T, pid int) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	fields := strings.Fields(rest)
	user, uerr := strconv.Atoi(fields[11])
	system, serr := strconv.Atoi(fields[12])
	if uerr != nil || serr != nil {
		t.Fatalf("%q", b)
	}
	return user + system
}
