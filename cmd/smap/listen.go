package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"smap/receiver"
)

// backlog is what the kernel holds of connections that wait for us.
const backlog = 1024

// drainTime is how long sessions may finish a message after TERM.
const drainTime = 30 * time.Second

// serve is a server for many sessions, until TERM or INT.
func serve(o options) int {
	var sockets []*os.File
	for _, addr := range o.listen {
		f, err := listen(addr)
		if err != nil {
			fmt.Fprintf(os.Stderr, "smap: -listen %s: %v\n", addr, err)
			return exitOS
		}
		sockets = append(sockets, f)
	}
	s, code := prepare(o, "stderr")
	if code != exitOK {
		return code
	}
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT)
	defer stop()
	server := &server{setup: s, clients: make(map[netip.Prefix]int)}
	var accepting sync.WaitGroup
	for _, f := range sockets {
		s.config.Log.Info("listen", "address", localAddress(f))
		accepting.Go(func() { server.accept(ctx, f) })
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
	}
	s.mu.Unlock()
	s.running.Go(func() {
		defer func() {
			if p := recover(); p != nil {
				s.config.Log.Error("fwtksyserr: panic", "value", fmt.Sprint(p), "stack", string(debug.Stack()))
				sayUnavailable(conn, s.config.Hostname)
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
	s.all--
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
