package eventlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// maxDatagram is more than any line.
const maxDatagram = 4096

// A Relay keeps the log of children that cannot keep it themselves: in a chroot
// nobody finds a syslog daemon that was restarted. It writes what they say as
// lines of facility mail. Each child has a socket of its own, since an attacker
// who owns a child can end its socket.
type Relay struct {
	log     io.Writer
	program string
	last    *os.File
}

// NewRelay returns a relay to a log, for children of a program.
func NewRelay(log io.Writer, program string) *Relay { return &Relay{log: log, program: program} }

// A Reader is told each line of a child, without priority and tag, and then that
// the child has ended.
type Reader interface {
	Line(text string)
	End()
}

// Lines makes lines as [New] writes them of those that a relay writes.
func Lines(w io.Writer, program string) io.Writer { return &unframed{lines{w: w, program: program}} }

type unframed struct{ lines }

// Write writes a framed line.
func (u *unframed) Write(b []byte) (int, error) {
	_, text, _ := strings.Cut(string(b), "]: ")
	return len(b), u.line(time.Now(), slog.LevelInfo, text)
}

// Next returns a socket for the next child, and tells reader what it logs, unless
// that is nil. The child before must have been started: its socket is closed here,
// and stays open there. It is not for several goroutines.
func (r *Relay) Next(reader Reader) (*os.File, error) {
	if r.last != nil {
		_ = r.last.Close() // nothing of ours was written there
		r.last = nil
	}
	fds, err := unix.Socketpair(unix.AF_UNIX, relayKind, 0)
	if err != nil {
		return nil, os.NewSyscallError("socketpair", err)
	}
	unix.CloseOnExec(fds[0])
	unix.CloseOnExec(fds[1])
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, errors.Join(err, unix.Close(fds[0]), unix.Close(fds[1]))
	}
	go r.relay(os.NewFile(uintptr(fds[0]), "log"), reader)
	r.last = os.NewFile(uintptr(fds[1]), "log")
	return r.last, nil
}

// relay ends with the child, or with an empty line, which looks the same.
func (r *Relay) relay(from io.ReadCloser, reader Reader) {
	defer from.Close() // only read
	if reader != nil {
		defer reader.End()
	}
	b := make([]byte, maxDatagram)
	for {
		n, err := from.Read(b)
		if err != nil {
			return
		}
		line, own := r.framed(b[:n])
		_, _ = r.log.Write(line) // there is nowhere to complain
		if own && reader != nil {
			_, text, _ := strings.Cut(string(line), "]: ")
			reader.Line(text)
		}
	}
}

// framed makes a child's datagram fit for the daemon: one line of printable ASCII,
// of facility mail, with the program's tag. It tells whether it was one before.
func (r *Relay) framed(b []byte) (line []byte, own bool) {
	for _, level := range []slog.Level{slog.LevelInfo, slog.LevelWarn, slog.LevelError} {
		if text, ok := bytes.CutPrefix(b, priority(level)); ok && r.hasTag(text) {
			return append(priority(level), printable(text)...), true
		}
	}
	// What the runtime says when it dies, or an attacker.
	return append(priority(slog.LevelError), tag(r.program)+printable(b)...), false
}

// hasTag tells whether a line begins as one of the program's.
func (r *Relay) hasTag(text []byte) bool {
	rest, ok := bytes.CutPrefix(text, []byte(r.program+"["))
	pid, _, ended := bytes.Cut(rest, []byte("]: "))
	return ok && ended && len(pid) > 0 && len(bytes.Trim(pid, "0123456789")) == 0
}

// printable replaces control characters and escapes what is not ASCII.
func printable(b []byte) string {
	var text strings.Builder
	for len(b) > 0 && text.Len() < maxDatagram {
		c, n := utf8.DecodeRune(b)
		switch {
		case c == utf8.RuneError && n == 1:
			fmt.Fprintf(&text, `\x%02x`, b[0])
		case c < ' ' || c == 0x7f:
			text.WriteByte('?')
		case c > 0x7f:
			quoted := strconv.QuoteRuneToASCII(c)
			text.WriteString(quoted[1 : len(quoted)-1])
		default:
			text.WriteByte(byte(c))
		}
		b = b[n:]
	}
	return text.String()
}
