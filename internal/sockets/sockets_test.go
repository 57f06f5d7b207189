package sockets

import (
	"net"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestListen(t *testing.T) {
	for _, addr := range []string{"127.0.0.1:0", "[::1]:0"} {
		f, err := Listen(addr)
		if addr[0] == '[' && err != nil {
			t.Logf("no IPv6 here: %v", err)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		at := Local(int(f.Fd()))
		if !Listening(int(f.Fd())) || !Is(int(f.Fd())) || at.Port() == 0 {
			t.Errorf("%s: not a listening socket, at %v", addr, at)
		}
		c, err := net.Dial("tcp", at.String())
		if err != nil {
			t.Fatal(err)
		}
		fd, peer, err := Accept(int(f.Fd()))
		if err != nil {
			t.Fatal(err)
		}
		if Address(peer) != c.LocalAddr().(*net.TCPAddr).AddrPort() || Local(fd) != at || Listening(fd) {
			t.Errorf("%s: a connection from %v to %v", addr, Address(peer), Local(fd))
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Error("a connection crosses exec")
		}
		if err := unix.SetNonblock(fd, false); err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		c.Close()
		f.Close()
	}
}

func TestListenErrors(t *testing.T) {
	f, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	taken := Local(int(f.Fd())).String()
	for addr, want := range map[string]string{
		"":               "not an address and a port",
		"smtp":           "not an address and a port",
		"localhost:25":   "not an address and a port",
		"127.0.0.1":      "not an address and a port",
		"[fe80::1%lo]:1": "not an address and a port",
		":66000":         "not an address and a port",
		taken:            "address already in use: another program has this port",
		"192.0.2.77:0":   "assign requested address",
	} {
		_, err := OpenAll([]string{addr})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.HasPrefix(err.Error(), "-listen "+addr+": ") {
			t.Errorf("%q: %v, want %q", addr, err, want)
		}
	}
}

// All addresses of both families, on one port.
func TestOpenBoth(t *testing.T) {
	f, err := Listen("0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	port := Local(int(f.Fd())).Port()
	f.Close()
	all, err := OpenAll([]string{":" + strconv.Itoa(int(port))})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		at := Local(int(f.Fd()))
		if at.Port() != port || !at.Addr().IsUnspecified() {
			t.Errorf("listens on %v", at)
		}
		f.Close()
	}
	if len(all) != 2 {
		t.Logf("only %d family here", len(all))
	}
}

func TestAddress(t *testing.T) {
	mapped := &unix.SockaddrInet6{Port: 7, Addr: netip.MustParseAddr("::ffff:192.0.2.1").As16()}
	if got := Address(mapped).String(); got != "192.0.2.1:7" {
		t.Errorf("a mapped address is %s", got)
	}
	if Address(&unix.SockaddrUnix{}).IsValid() {
		t.Error("a local socket has an address")
	}
}

func TestRemote(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	var pipe [2]int
	if err := unix.Pipe(pipe[:]); err != nil {
		t.Fatal(err)
	}
	tcp, err := unix.Socket(unix.AF_INET, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		fd   int
		want bool
	}{"pair": {pair[0], false}, "pipe": {pipe[0], false}, "TCP without a peer": {tcp, true}} {
		if Remote(c.fd) != c.want {
			t.Errorf("%s: remote is not %t", what, c.want)
		}
	}
	for _, fd := range []int{pair[0], pair[1], pipe[0], pipe[1], tcp} {
		unix.Close(fd)
	}
	if Remote(tcp) {
		t.Error("a closed descriptor is remote")
	}
}

func TestPassed(t *testing.T) {
	me := strconv.Itoa(os.Getpid())
	for _, c := range []struct {
		pid, fds string
		want     int
	}{{me, "2", 2}, {"1", "2", 0}, {me, "", 0}, {me, "-1", 0}, {me, "x", 0}, {"", "2", 0}, {me, "2000000000", maxPassed}} {
		t.Setenv("LISTEN_PID", c.pid)
		t.Setenv("LISTEN_FDS", c.fds)
		if got := Passed(); got != c.want {
			t.Errorf("LISTEN_PID=%s LISTEN_FDS=%s: %d, want %d", c.pid, c.fds, got, c.want)
		}
	}
}
