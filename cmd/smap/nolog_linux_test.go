package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// visitWith starts smap as inetd does, with that syslog daemon's /dev, and has a
// dialogue with it.
func (d *syslogd) visitWith(bin, table, dialogue string) error {
	ours, theirs := socketPair(d.t)
	defer ours.Close()
	cmd := d.smap(bin, "-c", table)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	if err := errors.Join(cmd.Start(), theirs.Close()); err != nil {
		return err
	}
	err := newClient(ours).dialogue(dialogue)
	ours.Close()
	_ = cmd.Wait() // its exit code says that there is no log
	return err
}

// TestNoSyslog: without a daemon the client hears why nobody is served, and the
// console has a line; with log-required no it is served.
func TestNoSyslog(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a chroot and a /dev of its own")
	}
	dir := t.TempDir()
	bin, table := install(t, dir, "")
	d := startSyslogd(t, dir)
	d.stop()
	console := filepath.Join(d.dev, "console")
	if err := unix.Mkfifo(console, 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := os.OpenFile(console, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	name, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.visitWith(bin, table, "S: 421 "+name+" Service not available: no log, try again later\nend"); err != nil {
		t.Error(err)
	}
	if err := reader.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1000)
	n, err := reader.Read(b)
	if err != nil || !strings.Contains(string(b[:n]), "no syslog daemon answers") {
		t.Errorf("on the console: %q, %v", b[:n], err)
	}
	text, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(table, append(text, "smap: log-required no\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := d.visitWith(bin, table, "S~ 220 \nC: QUIT\nS~ 221 \nend"); err != nil {
		t.Errorf("with log-required no: %v", err)
	}
}

// TestStreamSyslog has a daemon that listens for a stream, as some containers
// have it.
func TestStreamSyslog(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a chroot and a /dev of its own")
	}
	dir := t.TempDir()
	bin, table := install(t, dir, "")
	d := startSyslogd(t, dir)
	d.stop()
	path := filepath.Join(d.dev, "log")
	l, err := net.Listen("unix", path)
	if err = errors.Join(err, os.Chmod(path, 0o666)); err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := make(chan string, 1)
	go func() {
		conn, err := l.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		var text []byte
		b := make([]byte, 1000)
		for {
			n, err := conn.Read(b)
			text = append(text, b[:n]...)
			if err != nil {
				got <- string(text)
				return
			}
		}
	}()
	if err := d.visitWith(bin, table, "S~ 220 \nC: QUIT\nS~ 221 \nend"); err != nil {
		t.Fatal(err)
	}
	select {
	case text := <-got:
		lines := strings.Split(text, "\x00")
		if len(lines) < 3 || !strings.Contains(lines[0], "connect client=127.0.0.1") || !strings.HasPrefix(lines[1], "<22>smap[") {
			t.Errorf("%q", lines)
		}
	case <-time.After(patience):
		t.Error("nothing was logged")
	}
}
