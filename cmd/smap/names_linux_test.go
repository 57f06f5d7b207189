package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// nameserver answers for a few addresses of a loopback network, until the test
// ends. One of them gets no answer.
func nameserver(t *testing.T, address string) {
	t.Helper()
	conn := free(t, func() (net.PacketConn, error) { return net.ListenPacket("udp4", address) })
	records := map[string]dnsmessage.ResourceBody{
		"PTR 1.0.77.127.in-addr.arpa.": &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName("mail.example.com.")},
		"A mail.example.com.":          &dnsmessage.AResource{A: [4]byte{127, 77, 0, 1}},
		"PTR 2.0.77.127.in-addr.arpa.": &dnsmessage.PTRResource{PTR: dnsmessage.MustNewName("mail.example.com.")}, // a lie
		"PTR 3.0.77.127.in-addr.arpa.": nil,                                                                       // silence
	}
	go func() {
		b := make([]byte, 1500)
		for {
			n, from, err := conn.ReadFrom(b)
			if err != nil {
				return
			}
			var m dnsmessage.Message
			if m.Unpack(b[:n]) != nil || len(m.Questions) != 1 {
				continue
			}
			q := m.Questions[0]
			body, known := records[strings.TrimPrefix(q.Type.String(), "Type")+" "+strings.ToLower(q.Name.String())]
			if known && body == nil {
				continue
			}
			m = dnsmessage.Message{Header: dnsmessage.Header{ID: m.ID, Response: true, Authoritative: true}, Questions: m.Questions}
			if known {
				h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class, TTL: 60}
				m.Answers = []dnsmessage.Resource{{Header: h, Body: body}}
			} else {
				m.RCode = dnsmessage.RCodeNameError
			}
			if answer, err := m.Pack(); err == nil {
				_, _ = conn.WriteTo(answer, from) // the test will see it missing
			}
		}
	}()
}

// free listens, until the end of the test and those that run in it. It waits while another
// run of this test has the port.
func free[L io.Closer](t *testing.T, listen func() (L, error)) L {
	t.Helper()
	l, err := listen()
	for end := time.Now().Add(time.Minute); errors.Is(err, syscall.EADDRINUSE) && time.Now().Before(end); l, err = listen() {
		time.Sleep(10 * time.Millisecond)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// TestNames has the look-up child ask a DNS and an ident server, as it does in
// earnest: the system's resolver, port 113, and only the addresses are invented.
func TestNames(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for ports below 1024 and a resolv.conf of its own")
	}
	dir := t.TempDir()
	bin, table := install(t, dir, "smap: names yes\nsmap: ident yes\nsmap: relay-hosts *.example.com\n")
	resolv := filepath.Join(dir, "resolv.conf")
	if err := errors.Join(os.WriteFile(resolv, []byte("nameserver 127.77.0.53\n"), 0o600), os.Chmod(resolv, 0o644)); err != nil {
		t.Fatal(err)
	}
	nameserver(t, "127.77.0.53:53")
	l := free(t, func() (net.Listener, error) { return net.Listen("tcp4", "127.77.0.1:113") })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			question, _ := bufio.NewReader(conn).ReadString('\n')
			_, _ = fmt.Fprintf(conn, "%s : USERID : UNIX : stjohns\r\n", strings.TrimSpace(question))
			conn.Close()
		}
	}()
	for _, c := range []struct {
		client, logged string
		relay          string
	}{
		{"127.77.0.1", "connect client=127.77.0.1 name=mail.example.com ident=stjohns", "250 "},
		{"127.77.0.2", "connect client=127.77.0.2 name=unknown\n", "550 "},
		{"127.77.0.3", "connect client=127.77.0.3 name=unknown\n", "550 "},
		{"127.77.0.4", "connect client=127.77.0.4 name=unknown\n", "550 "},
	} {
		t.Run(c.client, func(t *testing.T) {
			t.Parallel()
			ours, theirs := connectionFrom(t, c.client)
			defer ours.Close()
			log, err := os.Create(filepath.Join(t.TempDir(), "log"))
			if err != nil {
				t.Fatal(err)
			}
			defer log.Close()
			script := `mount --make-rprivate / && mount --bind "$1" /etc/resolv.conf && shift && exec "$@"`
			cmd := exec.Command("/bin/sh", "-c", script, "sh", resolv, bin, "-c", table, "-log", "stderr")
			cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
			cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, log
			began := time.Now()
			if err := errors.Join(cmd.Start(), theirs.Close()); err != nil {
				t.Fatal(err)
			}
			err = newClient(ours).dialogue("S~ 220 \nC: HELO c\nS~ 250 \nC: MAIL FROM:<a@example.org>\nS~ 250 \n" +
				"C: RCPT TO:<x@elsewhere.example>\nS~ " + c.relay + "\nC: QUIT\nS~ 221 \nend")
			ours.Close()
			text, rerr := os.ReadFile(log.Name())
			if err = errors.Join(err, cmd.Wait(), rerr); err != nil || !strings.Contains(string(text), c.logged) {
				t.Errorf("after %v: %v; the log:\n%s", time.Since(began), err, text)
			}
		})
	}
}

// connectionFrom makes a TCP connection from an address: our end, and the
// server's as a file.
func connectionFrom(t *testing.T, client string) (net.Conn, *os.File) {
	t.Helper()
	l, err := net.Listen("tcp4", "127.77.0.25:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(client), 0))}
	ours, err := d.Dial("tcp4", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	theirs, err := conn.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}
