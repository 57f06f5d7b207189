//go:build linux

package main

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// server is a program that runs while something is measured.
type server struct {
	port int
	cmd  *exec.Cmd
	stop func() error
	pids func() []int // the processes that the others descend from
}

// start runs a program until stop, its output in a file of the scratch directory.
func (b *bench) start(name string, args ...string) (*server, error) {
	return b.startCommand(exec.Command(name, args...))
}

func (b *bench) startCommand(cmd *exec.Cmd) (*server, error) {
	log, err := os.OpenFile(b.file(filepath.Base(cmd.Path)+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{cmd: cmd, pids: func() []int { return []int{cmd.Process.Pid} }}
	s.stop = func() error {
		cmd.Process.Signal(syscall.SIGTERM) //nolint:errcheck // may be gone
		done := make(chan struct{})
		go func() { cmd.Wait(); close(done) }() //nolint:errcheck // its status does not matter
		select {
		case <-done:
		case <-time.After(10 * time.Second):
		}
		syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) //nolint:errcheck // may be gone
		<-done
		return nil
	}
	return s, nil
}

// freePort is a loopback port that nobody listens on.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// await waits until the server greets.
func (s *server) await() error {
	var err error
	for range 200 {
		var c net.Conn
		if c, err = net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.port), time.Second); err == nil {
			_, err = c.Read(make([]byte, 1))
			c.Close()
			if err == nil {
				return nil
			}
		}
		time.Sleep(50 * time.Millisecond)
	}
	return fmt.Errorf("no greeting on port %d: %w", s.port, err)
}

// tableFor is smap's table for a spool, with limits that a load test from one address does not meet.
func (b *bench) tableFor(spool string, more ...string) (string, error) {
	return b.table(append(more, "smap, smapd: directory "+spool, "smap, smapd: userid mail", "smap: hostname bench.test",
		"smap: local-domains bench.test", "smap: maxsessions 1000", "smap: maxperclient 1000")...)
}

// listen starts smap -listen.
func (b *bench) listen(spool string, more ...string) (*server, error) {
	table, err := b.tableFor(spool, more...)
	if err != nil {
		return nil, err
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	s, err := b.start(filepath.Join(b.bin, "smap"), "-c", table, "-listen", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		return nil, err
	}
	s.port = port
	return s, s.await()
}

// inetd starts smap under openbsd-inetd, one process for each connection.
func (b *bench) inetd(spool string) (*server, error) {
	table, err := b.tableFor(spool)
	if err != nil {
		return nil, err
	}
	return b.inetdFor("root", filepath.Join(b.bin, "smap"), "smap -c "+table)
}
