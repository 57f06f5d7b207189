//go:build linux

package main

import (
	"bufio"
	"io"
	"net"
	"strings"
	"sync"
)

// A sink is an LMTP server. It gives each message to take before it says that it has it.
type sink struct {
	address string
	take    func(mark, content string) error
	close   func()
}

func newSink(take func(mark, content string) error) (*sink, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{address: l.Addr().String(), take: take}
	var wg sync.WaitGroup
	s.close = func() { l.Close(); wg.Wait() }
	wg.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			wg.Go(func() { s.serve(c) })
		}
	})
	return s, nil
}

// serve plays LMTP for messages with one recipient. The sender's local part is the mark.
func (s *sink) serve(c net.Conn) {
	defer c.Close()
	in := bufio.NewReader(c)
	say := func(text string) bool {
		_, err := io.WriteString(c, text+"\r\n")
		return err == nil
	}
	mark := ""
	for say("220 sink LMTP"); ; {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		reply := "250 ok"
		switch verb := strings.ToUpper(line[:min(4, len(line))]); verb {
		case "LHLO":
			reply = "250-sink\r\n250 PIPELINING"
		case "MAIL":
			_, rest, _ := strings.Cut(line, "<")
			mark, _, _ = strings.Cut(rest, "@")
		case "DATA":
			if !say("354 go on") {
				return
			}
			text, err := readLines(in)
			if err != nil {
				return
			}
			if s.take(mark, text) != nil {
				reply = "451 not taken"
			}
		case "QUIT":
			say("221 bye")
			return
		}
		if !say(reply) {
			return
		}
	}
}

// readLines reads a content up to the line with a lone dot; its lines end in LF then.
func readLines(in *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return "", err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "." {
			return b.String(), nil
		}
		b.WriteString(strings.TrimPrefix(line, ".") + "\n")
	}
}
