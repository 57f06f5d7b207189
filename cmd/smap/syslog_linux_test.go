package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// A syslogd is a log daemon that can be restarted, at /dev/log of processes that
// have dev as their /dev.
type syslogd struct {
	t    *testing.T
	dev  string
	conn *net.UnixConn

	mu    sync.Mutex
	lines []string
}

func startSyslogd(t *testing.T, dir string) *syslogd {
	t.Helper()
	d := &syslogd{t: t, dev: filepath.Join(dir, "dev")}
	err := errors.Join(os.Mkdir(d.dev, 0o755), unix.Mknod(filepath.Join(d.dev, "null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		os.Chmod(filepath.Join(d.dev, "null"), 0o666))
	if err != nil {
		t.Fatal(err)
	}
	d.start()
	t.Cleanup(func() { d.stop() })
	return d
}

func (d *syslogd) start() {
	d.t.Helper()
	path := filepath.Join(d.dev, "log")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err = errors.Join(err, os.Chmod(path, 0o666)); err != nil {
		d.t.Fatal(err)
	}
	d.conn = conn
	go func() {
		b := make([]byte, 8192)
		for {
			n, err := conn.Read(b)
			if err != nil {
				return
			}
			d.mu.Lock()
			d.lines = append(d.lines, string(b[:n]))
			d.mu.Unlock()
		}
	}()
}

func (d *syslogd) stop() {
	d.conn.Close()
	_ = os.Remove(filepath.Join(d.dev, "log")) // Close may have done it
}

// logged waits for a line that begins so and contains the text, and returns it.
func (d *syslogd) logged(begin, text string) string {
	d.t.Helper()
	for stop := time.Now().Add(patience); time.Now().Before(stop); time.Sleep(5 * time.Millisecond) {
		d.mu.Lock()
		for _, line := range d.lines {
			if strings.HasPrefix(line, begin) && strings.Contains(line, text) {
				d.mu.Unlock()
				return line
			}
		}
		d.mu.Unlock()
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.t.Fatalf("no line %s ... %s in:\n%s", begin, text, strings.Join(d.lines, "\n"))
	return ""
}

// smap makes a command that has our syslogd.
func (d *syslogd) smap(bin string, args ...string) *exec.Cmd {
	script := `mount --make-rprivate / && mount --bind "$1" /dev && shift && exec "$@"`
	cmd := exec.Command("/bin/sh", append([]string{"-c", script, "sh", d.dev, bin}, args...)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS}
	return cmd
}

func socketPair(t *testing.T) (net.Conn, *os.File) {
	t.Helper()
	ours, theirs, err := connection()
	if err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// TestSyslog has smap log from its chroot: under inetd, where descriptor 2 is the
// client; and as a server, whose syslog daemon is restarted meanwhile.
func TestSyslog(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root, for a chroot and a /dev of its own")
	}
	dir := t.TempDir()
	bin, table := install(t, dir, "")
	d := startSyslogd(t, dir)

	ours, theirs := socketPair(t)
	cmd := d.smap(bin, "-c", table)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	if err := errors.Join(cmd.Start(), theirs.Close()); err != nil {
		t.Fatal(err)
	}
	c := newClient(ours)
	err := c.dialogue("S~ 220 \nC: \"a client=forged\"\nS~ 500 \nC: helo \\x1b[2J\nS~ 500 \nC: helo c\nS~ 250 \nC: quit\nS~ 221 \nend")
	if err = errors.Join(err, ours.Close(), cmd.Wait()); err != nil {
		t.Error(err)
	}
	d.logged("<22>smap[", "]: connect client=127.0.0.1 name=unknown")
	d.logged("<22>smap[", `command="\"a client=forged\"" reply="500 5.5.1 Command unrecognized"`)

	// A table that is wrong is told to the log as well.
	bad := filepath.Join(dir, "bad")
	if err := os.WriteFile(bad, []byte("smap: userid 65534\nsmap: timeout 5x\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ours, theirs = socketPair(t)
	cmd = d.smap(bin, "-c", bad)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, theirs
	if err := errors.Join(cmd.Start(), theirs.Close(), newClient(ours).dialogue("S~ 421 \nend")); err != nil {
		t.Error(err)
	}
	ours.Close()
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() != exitConfig {
		t.Errorf("with a bad table: %v", err)
	}
	d.logged("<19>smap[", "fwtkcfgerr: "+bad+`:2: timeout: "5x" is not a number of seconds`)

	// The server.
	cmd = d.smap(bin, "-c", table, "-listen", "127.0.0.1:0", "-log", "syslog")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := errors.Join(cmd.Process.Signal(syscall.SIGTERM), cmd.Wait()); err != nil {
			t.Error(err)
		}
	}()
	_, address, _ := strings.Cut(d.logged("<22>smap[", "]: listen address="), "address=")
	greet := func() {
		t.Helper()
		conn, err := net.Dial("tcp4", address)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if err := newClient(conn).dialogue("S~ 220 \nC: quit\nS~ 221 \nend"); err != nil {
			t.Error(err)
		}
	}
	greet()
	d.stop()
	greet() // these lines are lost
	d.start()
	forget := func() {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.lines = nil
	}
	forget()
	greet()
	d.logged("<22>smap[", "]: connect client=127.0.0.1 name=unknown")

	// The next child is heard as well, and so is what the old one says at its end.
	forget()
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	d.logged("<22>smap[", "]: ready pid=")
	d.logged("<22>smap[", "]: stop")
	forget()
	greet()
	d.logged("<22>smap[", "]: connect client=127.0.0.1 name=unknown")
}
