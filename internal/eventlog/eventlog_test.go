package eventlog

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// one logs to a buffer and returns the line without its time.
func one(t *testing.T, f func(*slog.Logger)) string {
	t.Helper()
	var b strings.Builder
	f(New(&b, "smap"))
	line, ok := strings.CutSuffix(b.String(), "\n")
	stamp, text, found := strings.Cut(line, " ")
	if !ok || !found {
		t.Fatalf("no line: %q", b.String())
	}
	if _, err := time.Parse("2006-01-02T15:04:05.000Z", stamp); err != nil {
		t.Error(err)
	}
	return text
}

func TestLine(t *testing.T) {
	for want, f := range map[string]func(*slog.Logger){
		"smap: connect client=192.0.2.1": func(l *slog.Logger) { l.Info("connect", "client", "192.0.2.1") },
		"smap: a n=1 d=2s e=bad":         func(l *slog.Logger) { l.Error("a", "n", 1, "d", 2*time.Second, "e", errors.New("bad")) },
		"smap: empty":                    func(l *slog.Logger) { l.Info("empty", "ident", "") },
		"smap: a x=1 y=2":                func(l *slog.Logger) { l.With("x", 1).Info("a", "y", 2) },
		"smap: a g.x=1 g.h.y=2":          func(l *slog.Logger) { l.WithGroup("g").Info("a", "x", 1, slog.Group("h", "y", 2)) },
		`smap: a v="two words"`:          func(l *slog.Logger) { l.Info("a", "v", "two words") },
	} {
		if got := one(t, f); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	var b strings.Builder
	New(&b, "smap").Debug("nothing")
	if b.Len() > 0 {
		t.Errorf("debug writes %q", b.String())
	}
}

// hostile are values that a stranger could choose.
var hostile = []string{
	"a\nsmap[1]: message id=forged", "a\r\nb", "\x00", "a id=forged", `a" id="forged`, `\`, "\x1b[2J", "\x7f", "\u2028",
	"\u202e", "\xff\xfe", "a\tb", "=", "grün", "\u0085", "<22>", strings.Repeat("x", 10000), strings.Repeat("\n", 10000), strings.Repeat("\xed", 600),
}

// No value makes a second line, a second fact, or an octet that a terminal obeys.
func TestHostile(t *testing.T) {
	for _, v := range hostile {
		checkHostile(t, v)
	}
}

func FuzzHostile(f *testing.F) {
	for _, v := range hostile {
		f.Add(v)
	}
	f.Fuzz(checkHostile)
}

func checkHostile(t *testing.T, v string) {
	var b strings.Builder
	New(&b, "smap").Info("event", "key", v, "last", 1)
	line, ok := strings.CutSuffix(b.String(), "\n")
	if !ok || !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return r < ' ' || unicode.Is(unicode.Cf, r) || unicode.IsControl(r) }) {
		t.Fatalf("%q makes %q", v, line)
	}
	_, text, _ := strings.Cut(line, " smap: event")
	if v != "" {
		text = strings.TrimPrefix(text, " key=")
		if text[0] == '"' {
			end := 1
			for ; text[end] != '"'; end++ {
				if text[end] == '\\' {
					end++
				}
			}
			text = text[end+1:]
			text = strings.TrimPrefix(text, "...")
		} else if i := strings.IndexByte(text, ' '); strings.ContainsAny(text[:i], `"=\`) {
			t.Errorf("%q is not quoted: %q", v, line)
		} else {
			text = text[i:]
		}
	}
	if text != " last=1" {
		t.Errorf("%q leaves %q of %q", v, text, line)
	}
	if len(line) > maxLine+100 {
		t.Errorf("a line of %d octets", len(line))
	}
}

// An event's name is ours, but should it ever hold a stranger's octets they do no
// harm there either; and many facts make no endless line.
func TestLongAndUnclean(t *testing.T) {
	if got := one(t, func(l *slog.Logger) { l.Info("a\nb\x1b", "k\n", 1) }); got != "smap: a?b? k?=1" {
		t.Errorf("%q", got)
	}
	got := one(t, func(l *slog.Logger) {
		for range 100 {
			l = l.With("k", strings.Repeat("x", 100))
		}
		l.Info("a")
	})
	if len(got) > maxLine+20 || !strings.HasSuffix(got, " ...") {
		t.Errorf("%d octets, ending in %q", len(got), got[len(got)-10:])
	}
}

// daemon stands where syslogd would.
func daemon(t *testing.T, path string) *net.UnixConn {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

func received(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 8192)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	return string(b[:n])
}

func TestSyslog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	d := daemon(t, path)
	s := &syslog{path: path, tag: "smap[7]: ", fd: -1}
	if err := s.dial(); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for level, want := range map[slog.Level]string{
		slog.LevelInfo: "<22>smap[7]: event", slog.LevelWarn: "<20>smap[7]: event", slog.LevelError: "<19>smap[7]: event",
	} {
		if err := s.line(time.Now(), level, "event"); err != nil {
			t.Fatal(err)
		}
		if got := received(t, d); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	// The daemon is restarted.
	d.Close()
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if err := s.line(time.Now(), slog.LevelInfo, "lost"); err == nil {
		t.Error("no error without a daemon")
	}
	d = daemon(t, path)
	if err := s.line(time.Now(), slog.LevelInfo, "again"); err != nil {
		t.Fatal(err)
	}
	if got := received(t, d); got != "<22>smap[7]: again" {
		t.Errorf("after a restart: %q", got)
	}
	// One that must not connect again does not.
	s.Keep()
	d.Close()
	_ = os.Remove(path) // ListenUnixgram may have done it
	daemon(t, path)
	if err := s.line(time.Now(), slog.LevelInfo, "kept"); err == nil {
		t.Error("a kept connection was made again")
	}
}

func TestInherit(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fds[1])
	log, closer, err := Inherit(fds[0], "smap")
	if err != nil {
		t.Fatal(err)
	}
	log.Info("event", "k", "v")
	b := make([]byte, 200)
	n, err := unix.Read(fds[1], b)
	if err != nil || string(b[:n]) != "<22>"+tag("smap")+"event k=v" {
		t.Errorf("%q, %v", b[:n], err)
	}
	if err := closer.Close(); err != nil {
		t.Error(err)
	}
}

// TestStuck has somebody at the other end who does not read for a while: who logs
// goes on all the same, and so does the log after that.
func TestStuck(t *testing.T) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	log, closer, err := Inherit(fds[1], "smap")
	if err != nil {
		t.Fatal(err)
	}
	defer closer.Close()
	const lines = 3000 // more than any socket holds
	done := make(chan time.Duration)
	go func() {
		began := time.Now()
		for range lines {
			log.Info("connect", "client", "192.0.2.1")
		}
		done <- time.Since(began)
	}()
	select {
	case <-done:
	case <-time.After(20 * sendTimeout):
		t.Fatal("whoever logs waits for whoever does not read")
	}
	reader := os.NewFile(uintptr(fds[0]), "log")
	defer reader.Close()
	b := make([]byte, 1000)
	for i := range lines {
		n, _, err := unix.Recvfrom(fds[0], b, unix.MSG_DONTWAIT)
		if err != nil {
			if i == 0 {
				t.Errorf("nothing was logged: %v", err)
			}
			break
		}
		if !strings.Contains(string(b[:n]), "connect client=192.0.2.1") {
			t.Errorf("%q", b[:n])
		}
	}
	log.Info("again")
	if n, _, err := unix.Recvfrom(fds[0], b, unix.MSG_DONTWAIT); err != nil || !strings.HasSuffix(string(b[:n]), "again") {
		t.Errorf("afterwards: %q, %v", b[:n], err)
	}
}

func TestOpenErrors(t *testing.T) {
	if _, _, err := Open("file", "smap"); err == nil || !strings.Contains(err.Error(), `"file"`) {
		t.Errorf("%v", err)
	}
}

// TestLost: lines that were lost while no daemon answered are counted, and the
// log says so when one does.
func TestLost(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	s := &syslog{path: path, tag: "smap[7]: ", fd: -1}
	for range 3 {
		if err := s.line(time.Now(), slog.LevelInfo, "lost"); err == nil {
			t.Error("no error without a daemon")
		}
	}
	d := daemon(t, path)
	s.tried = time.Time{}
	if err := s.line(time.Now(), slog.LevelInfo, "found"); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, want := range []string{"<22>smap[7]: found", "<20>smap[7]: log lost=3"} {
		if got := received(t, d); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
