package main

import (
	"io"
	"net/netip"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"smap/receiver"
)

const exitSoftware = 70

// guardStderr replaces descriptor 2 where it is the same connection as
// descriptor 0, as under inetd.
func guardStderr() {
	if !stderrIsClient() {
		return
	}
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil || dup2(int(null.Fd()), 2) != nil {
		_ = unix.Close(2) // nothing there is better than the client
	}
}

func stderrIsClient() bool {
	var in, log unix.Stat_t
	if unix.Fstat(0, &in) != nil || unix.Fstat(2, &log) != nil {
		return false
	}
	return isSocket(0) && in.Dev == log.Dev && in.Ino == log.Ino
}

func isSocket(fd int) bool {
	var st unix.Stat_t
	return unix.Fstat(fd, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFSOCK
}

// listening tells whether a descriptor is a socket that accepts connections.
func listening(fd int) bool {
	on, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ACCEPTCONN)
	return err == nil && on != 0
}

// systemdSockets is how many descriptors systemd passed, by sd_listen_fds(3).
func systemdSockets() int {
	if os.Getenv("LISTEN_PID") != strconv.Itoa(os.Getpid()) {
		return 0
	}
	n, _ := strconv.Atoi(os.Getenv("LISTEN_FDS")) // 0 unless it is a number
	return n
}

// defaultLog is stderr where that is not the client: a terminal, tcpserver.
func defaultLog() string {
	var null, log unix.Stat_t
	if unix.Stat(os.DevNull, &null) == nil && unix.Fstat(2, &log) == nil && (null.Dev != log.Dev || null.Ino != log.Ino) {
		return "stderr"
	}
	return "syslog"
}

// crashesTo sends what the runtime says of its own death to the log.
func crashesTo(fd int) {
	if defaultLog() == "syslog" {
		_ = dup2(fd, 2) // else it goes nowhere, as before
	}
}

// stdio is a client that is not a socket: a terminal, a pair of pipes.
type stdio struct{ in, out *os.File }

func (c stdio) Read(p []byte) (int, error)         { return c.in.Read(p) }
func (c stdio) Write(p []byte) (int, error)        { return c.out.Write(p) }
func (c stdio) SetReadDeadline(t time.Time) error  { return c.in.SetReadDeadline(t) }
func (c stdio) SetWriteDeadline(t time.Time) error { return c.out.SetWriteDeadline(t) }

// standardInput returns the connection on descriptor 0, and whose it is.
func standardInput() (receiver.Conn, receiver.Client) {
	peer, err := unix.Getpeername(0)
	if err != nil {
		return stdio{os.Stdin, os.Stdout}, receiver.Client{}
	}
	_ = unix.SetNonblock(0, true) // without it there are no deadlines
	f := os.NewFile(0, "client")
	return f, clientOf(0, peer)
}

func clientOf(fd int, peer unix.Sockaddr) receiver.Client {
	return receiver.Client{Addr: address(peer), Early: func() bool {
		// Not poll: it takes the end of a connection, as of a port scan, for input.
		n, _, err := unix.Recvfrom(fd, make([]byte, 1), unix.MSG_PEEK|unix.MSG_DONTWAIT)
		return err == nil && n > 0
	}}
}

// address is a peer's, with IPv4-mapped ones as IPv4; invalid for a local
// socket.
func address(sa unix.Sockaddr) netip.Addr {
	switch sa := sa.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr)
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(sa.Addr).Unmap()
	}
	return netip.Addr{}
}

// sayUnavailable tells a client that we cannot serve it, where that is possible.
func sayUnavailable(conn receiver.Conn, hostname string) {
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(conn, "421 "+hostname+" Service not available, try again later\r\n") // it may be gone
}

// refuseClient ends a connection that the table does not permit.
func refuseClient(s *setup, conn receiver.Conn, client receiver.Client) {
	s.config.Log.Warn("securityalert: deny", "client", client.Addr.String(), "name", client.Name)
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(conn, "554 "+s.config.Hostname+" You are not permitted to talk here\r\n") // it may be gone
	linger(conn)
}

// lingering bounds how long, and how many octets, a client that was cut off may
// still send.
const (
	lingering    = time.Second
	lingerOctets = 256 << 10
)

// linger ends our side and reads on for a moment. Closing at once, with input
// unread, would make the system reset the connection, and the client would
// never see our last reply.
func linger(conn receiver.Conn) {
	f, ok := conn.(*os.File)
	if !ok {
		return
	}
	raw, err := f.SyscallConn()
	if err != nil {
		return
	}
	_ = raw.Control(func(fd uintptr) { err = unix.Shutdown(int(fd), unix.SHUT_WR) })
	if err != nil {
		return // not connected any more
	}
	_ = f.SetReadDeadline(time.Now().Add(lingering))
	_, _ = io.CopyN(io.Discard, f, lingerOctets) // ended, silent or reset: nothing is left to wait for
}
