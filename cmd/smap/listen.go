package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/supervise"
	"smap/receiver"
)

// backlog is what the kernel holds of connections that wait for us.
const backlog = 1024

// drainTime is how long sessions may finish a message after TERM.
const drainTime = 30 * time.Second

// openSockets opens all addresses, or says which one cannot be.
func openSockets(addrs []string) ([]*os.File, error) {
	var sockets []*os.File
	for _, addr := range addrs {
		f, err := listen(addr)
		if err != nil {
			return nil, fmt.Errorf("-listen %s: %w", addr, err)
		}
		sockets = append(sockets, f)
	}
	return sockets, nil
}

// serveChild serves on the n sockets that the parent gave us, until it says TERM
// or is gone.
func serveChild(o options, n int) int {
	return serveSockets(o, "stderr", inherited(firstSocket, n), 0, supervise.Attach(firstSocket+n))
}

// serveWait serves on inetd's listening socket until nobody has come for a
// while; inetd then waits for the next client itself.
func serveWait(o options, fd int) int {
	return serveSockets(o, defaultLog(), inherited(fd, 1), 1, nil)
}

// firstSocket is where a parent's and systemd's sockets begin.
const firstSocket = 3

func inherited(first, n int) []*os.File {
	var sockets []*os.File
	for fd := first; fd < first+n; fd++ {
		unix.CloseOnExec(fd)
		_ = unix.SetNonblock(fd, true) // else accept would not end with the rest
		sockets = append(sockets, os.NewFile(uintptr(fd), "socket"))
	}
	return sockets
}

// serveSockets is a server for many sessions. It says on line that it is ready,
// and ends when line does; idle is 1 for one that leaves when it has no work.
func serveSockets(o options, log string, sockets []*os.File, idle time.Duration, line *supervise.Line) int {
	s, code := prepare(o, log)
	if code != exitOK {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	server := &server{setup: s, clients: make(map[netip.Prefix]int), stop: stop, idle: idle * s.table.Duration("idle-exit")}
	server.timer = time.AfterFunc(math.MaxInt64, stop)
	server.rest(true)
	var accepting sync.WaitGroup
	for _, f := range sockets {
		s.config.Log.Info("listen", "address", localAddress(f))
		accepting.Go(func() { server.accept(ctx, f) })
	}
	if line != nil {
		go func() {
			_ = line.Ready() // a parent that is gone ends the next line
			line.Await()
			stop()
		}()
	}
	accepting.Wait()
	return server.drain()
}

// listen opens a socket for an address such as 127.0.0.1:25, [::1]:25 or :25,
// which is all addresses of both families.
func listen(addr string) (*os.File, error) {
	if strings.HasPrefix(addr, ":") {
		addr = "[::]" + addr
	}
	at, err := netip.ParseAddrPort(addr)
	if err != nil {
		return nil, errors.New("not an address and a port, such as 127.0.0.1:25 or :25")
	}
	var sa unix.Sockaddr = &unix.SockaddrInet6{Addr: at.Addr().As16(), Port: int(at.Port())}
	family := unix.AF_INET6
	if at.Addr().Is4() {
		sa, family = &unix.SockaddrInet4{Addr: at.Addr().As4(), Port: int(at.Port())}, unix.AF_INET
	}
	fd, err := unix.Socket(family, unix.SOCK_STREAM, 0)
	if err != nil {
		return nil, err
	}
	unix.CloseOnExec(fd)
	err = errors.Join(unix.SetNonblock(fd, true), unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_REUSEADDR, 1))
	if err == nil && family == unix.AF_INET6 {
		err = unix.SetsockoptInt(fd, unix.IPPROTO_IPV6, unix.IPV6_V6ONLY, v6only(at.Addr()))
	}
	if err == nil {
		err = unix.Bind(fd, sa)
	}
	if err == nil {
		err = unix.Listen(fd, backlog)
	}
	if err != nil {
		return nil, errors.Join(err, unix.Close(fd))
	}
	return os.NewFile(uintptr(fd), addr), nil
}

// v6only lets the unspecified address serve IPv4 as well, and no other one.
func v6only(a netip.Addr) int {
	if a.IsUnspecified() {
		return 0
	}
	return 1
}

// localAddress is what a socket is bound to, with the port that the system
// chose for port 0.
func localAddress(f *os.File) string {
	var sa unix.Sockaddr
	raw, err := f.SyscallConn() // Fd would take the deadlines away
	if err == nil {
		_ = raw.Control(func(fd uintptr) { sa, err = unix.Getsockname(int(fd)) })
	}
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr).String() + ":" + strconv.Itoa(sa.Port)
	case *unix.SockaddrInet6:
		return "[" + netip.AddrFrom16(sa.Addr).String() + "]:" + strconv.Itoa(sa.Port)
	}
	return fmt.Sprint(f.Name(), " ", err)
}

// A server counts its sessions.
type server struct {
	*setup
	mu      sync.Mutex
	running sync.WaitGroup
	all     int
	clients map[netip.Prefix]int

	idle  time.Duration // 0: it stays without work, too
	timer *time.Timer   // ends the server
	stop  func()
}

// rest lets the server end itself after a while, or not.
func (s *server) rest(begin bool) {
	if s.idle == 0 {
		return
	}
	if begin {
		s.timer.Reset(s.idle)
	} else {
		s.timer.Stop()
	}
}

// accept serves one socket until ctx is done. Errors of accept pass: a client
// that gave up, descriptors that others will return.
func (s *server) accept(ctx context.Context, f *os.File) {
	stop := context.AfterFunc(ctx, func() { _ = f.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := f.SyscallConn()
	for err == nil && ctx.Err() == nil {
		var fd int
		var peer unix.Sockaddr
		var aerr error
		err = raw.Read(func(l uintptr) bool {
			fd, peer, aerr = acceptOne(int(l))
			return aerr != unix.EAGAIN
		})
		switch {
		case err != nil:
		case aerr == nil:
			s.start(ctx, os.NewFile(uintptr(fd), "client"), clientOf(fd, peer))
		case aerr == unix.EMFILE || aerr == unix.ENFILE || aerr == unix.ENOBUFS || aerr == unix.ENOMEM:
			s.config.Log.Error("fwtksyserr: accept", "error", aerr)
			time.Sleep(100 * time.Millisecond)
		}
	}
	if cerr := f.Close(); cerr != nil {
		s.config.Log.Error("fwtksyserr: close", "error", cerr)
	}
}

// start begins a session, if there is room for one more.
func (s *server) start(ctx context.Context, conn *os.File, client receiver.Client) {
	who := network(client.Addr)
	s.mu.Lock()
	full := s.all >= int(s.table.Int("maxsessions"))
	many := s.clients[who] >= int(s.table.Int("maxperclient"))
	if !full && !many {
		s.all++
		s.clients[who]++
		s.rest(false)
	}
	s.mu.Unlock()
	s.running.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				s.panicked(p, conn)
			}
			_ = conn.Close() // the client has its replies, or is gone
		}()
		if full || many {
			s.config.Log.Info("busy", "client", client.Addr.String(), "all", full)
			sayUnavailable(conn, s.config.Hostname)
			return
		}
		defer s.end(who)
		if !s.admit(&client) {
			refuseClient(s.setup, conn, client)
			return
		}
		receiver.Serve(ctx, s.config, client, conn)
		linger(conn)
	})
}

func (s *server) end(who netip.Prefix) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.all--; s.all == 0 {
		s.rest(true)
	}
	if s.clients[who]--; s.clients[who] == 0 {
		delete(s.clients, who)
	}
}

// network is what counts as one client: an IPv4 address, an IPv6 /64.
func network(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	p, _ := a.WithZone("").Prefix(bits) // these lengths always fit
	return p
}

// drain waits for the sessions that finish a message.
func (s *server) drain() int {
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(drainTime):
		s.config.Log.Warn("stop", "note", "sessions cut off")
	}
	s.config.Log.Info("stop")
	return exitOK
}
