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

// guardStderr replaces descriptor 2 by /dev/null if it is the same connection as
// descriptor 0, as under inetd.
func guardStderr() {
	if !stderrIsClient() {
		return
	}
	null, err := unix.Open(os.DevNull, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil || sockets.Dup(null, 2) != nil {
		_ = unix.Close(2) // a closed descriptor is better than the client
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

// standardInput returns the connection on descriptor 0: a socket, or else a
// terminal or a pipe, with the output on descriptor 1.
func standardInput() visitor {
	peer, err := unix.Getpeername(0)
	if err != nil {
		return visitor{conn: sockets.NewPair(0, 1)}
	}
	_ = unix.SetNonblock(0, true) // an os.File supports deadlines only if it does not block
	return visitorOn(0, peer, os.NewFile(0, "client"))
}

// sayUnavailable tells a client that we cannot serve it now.
func sayUnavailable(conn receiver.Conn, hostname string) {
	say(conn, receiver.Unavailable(hostname))
}

// say sends a client one line, the only one that it gets. It ignores errors.
func say(conn receiver.Conn, line string) {
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(conn, line+"\r\n")
}

// For how long, and how many octets, linger reads.
const (
	lingering    = time.Second
	lingerOctets = 256 << 10
)

// linger shuts down our side, and discards input for a moment. If we closed the
// connection with unread input, the system would reset it, and the client might
// never see our last reply.
func linger(conn receiver.Conn) {
	if f, ok := conn.(*os.File); !ok || sockets.CloseWrite(f) != nil {
		return // not a socket, or no longer connected
	}
	_ = conn.SetReadDeadline(time.Now().Add(lingering))
	_, _ = io.CopyN(io.Discard, conn, lingerOctets) // after the end, a timeout or a reset there is nothing to wait for
}
