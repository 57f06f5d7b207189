package agent

import (
	"bufio"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
)

func TestSTARTTLSInjection(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		buf := make([]byte, 1000)
		for _, say := range []string{"220 a\r\n", "250-a\r\n250 STARTTLS\r\n", "220 go\r\n250 injected\r\n"} {
			if _, err := conn.Write([]byte(say)); err != nil {
				return
			}
			if _, err := conn.Read(buf); err != nil {
				return
			}
		}
	}()
	a, err := NewSMTP(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	_, err = a.Deliver(t.Context(), job(t, "x\n", "b@x.test"))
	var start *StartError
	if !errors.As(err, &start) || !strings.Contains(err.Error(), "between STARTTLS and TLS") {
		t.Error(err)
	}
}

func TestSMTPTLSRefused(t *testing.T) {
	const hello = "S: 220 a\nC: EHLO me.test\nS: 250-a\nS: 250 STARTTLS\nC: STARTTLS\nS: 454 not now\n"
	const rest = "C: MAIL\nS: 250 ok\nC: RCPT\nS: 250 ok\nC: DATA\nS: 354 go\nC: x\nC: .\nS: 250 ok\n"
	a := scriptedOn(t, "tcp", "127.0.0.1:0", hello+rest)
	if r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); err != nil || r[0].Outcome != Delivered {
		t.Errorf("may: %+v %v", r, err)
	}
	for _, script := range []string{hello, "S: 220 a\nC: EHLO me.test\nS: 250 a\n"} {
		a := scriptedOn(t, "tcp", "127.0.0.1:0", script)
		a.TLS = TLSVerify
		var start *StartError
		if r, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); !errors.As(err, &start) {
			t.Errorf("verify: %+v %v", r, err)
		}
	}
}

func brokenTLS(t *testing.T) (address string, connections *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	connections = new(atomic.Int64)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			connections.Add(1)
			go plaintextOnly(conn)
		}
	}()
	return l.Addr().String(), connections
}

func plaintextOnly(conn net.Conn) {
	defer conn.Close()
	replies := map[string]string{"EHLO": "250-a\r\n250 STARTTLS\r\n", "STAR": "220 go\r\n", "DATA": "354 go\r\n"}
	fmt.Fprintf(conn, "220 a\r\n")
	inData := false
	for r := bufio.NewReader(conn); ; {
		line, err := r.ReadString('\n')
		if err != nil {
			return
		}
		for line == "DATA\r\n" || inData && line != ".\r\n" {
			if line == "DATA\r\n" {
				inData = true
				fmt.Fprint(conn, replies["DATA"])
			}
			if line, err = r.ReadString('\n'); err != nil {
				return
			}
		}
		inData = false
		reply := replies[line[:min(4, len(line))]]
		if reply == "" {
			reply = "250 ok\r\n"
		}
		fmt.Fprint(conn, reply)
		if strings.HasPrefix(line, "STARTTLS") {
			return
		}
	}
}

func TestSMTPTLSMayFallsBack(t *testing.T) {
	address, connections := brokenTLS(t)
	a, err := NewSMTP(address)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	results, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test"))
	if err != nil || results[0].Outcome != Delivered {
		t.Errorf("tls may: %+v %v", results, err)
	}
	if n := connections.Load(); n != 2 {
		t.Errorf("tls may: %d connections, want 2", n)
	}
	if a, err = NewSMTP(address); err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	a.TLS = TLSVerify
	var start *StartError
	if results, err = a.Deliver(t.Context(), job(t, "x\n", "b@x.test")); !errors.As(err, &start) {
		t.Errorf("tls verify: %+v %v", results, err)
	}
	if n := connections.Load(); n != 3 {
		t.Errorf("tls verify: %d connections, want 1", n-2)
	}
}

func TestHelloAfterTLS(t *testing.T) {
	cert, _ := certificate(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	heard := make(chan string, 10)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		r := bufio.NewReader(conn)
		for _, say := range []string{"220 a\r\n", "250-a\r\n250 STARTTLS\r\n", "220 go\r\n"} {
			fmt.Fprint(conn, say)
			if say != "220 go\r\n" {
				_, _ = r.ReadString('\n') // EHLO, STARTTLS
			}
		}
		secure := tls.Server(conn, &tls.Config{Certificates: []tls.Certificate{cert}})
		for r = bufio.NewReader(secure); ; fmt.Fprint(secure, "550 no\r\n") {
			line, err := r.ReadString('\n')
			if err != nil {
				close(heard)
				return
			}
			heard <- line[:4]
		}
	}()
	a, err := NewSMTP(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	results, err := a.Deliver(t.Context(), job(t, "x\n", "b@x.test"))
	var start *StartError
	if !errors.As(err, &start) {
		t.Errorf("%+v %v", results, err)
	}
	for command := range heard {
		if command == "MAIL" {
			t.Error("MAIL")
		}
	}
}
