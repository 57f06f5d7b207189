package main

import (
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/sockets"
	"smap/receiver"
)

const exitSoftware = 70

// guardStderr replaces descriptor 2 where it is the same connection as
// descriptor 0, as under inetd.
func guardStderr() {
	if !stderrIsClient() {
		return
	}
	null, err := unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil || sockets.Dup(null, 2) != nil {
		_ = unix.Close(2) // nothing there is better than the client
	}
	_ = unix.Close(null) // nothing was written there
}

func stderrIsClient() bool {
	var in, log unix.Stat_t
	if unix.Fstat(0, &in) != nil || unix.Fstat(2, &log) != nil {
		return false
	}
	return sockets.Is(0) && in.Dev == log.Dev && in.Ino == log.Ino
}

// standardInput returns the connection on descriptor 0, which need not be a
// socket: a terminal, a pair of pipes.
func standardInput() visitor {
	peer, err := unix.Getpeername(0)
	if err != nil {
		return visitor{conn: sockets.NewPair(0, 1)}
	}
	_ = unix.SetNonblock(0, true) // a file has deadlines only then
	return visitorOn(0, peer, os.NewFile(0, "client"))
}

// sayUnavailable tells a client that we cannot serve it now.
func sayUnavailable(conn receiver.Conn, hostname string) {
	say(conn, receiver.Unavailable(hostname))
}

// say sends a client its only line, if it is still there.
func say(conn receiver.Conn, line string) {
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(conn, line+"\r\n")
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
	if f, ok := conn.(*os.File); !ok || sockets.CloseWrite(f) != nil {
		return // no socket, or not connected any more
	}
	_ = conn.SetReadDeadline(time.Now().Add(lingering))
	_, _ = io.CopyN(io.Discard, conn, lingerOctets) // ended, silent or reset: nothing is left to wait for
}
