package receiver

import (
	"bytes"
	"context"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/eventlog"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// patience bounds every wait for a session; a busy machine never needs it.
const patience = time.Minute

// A buffer is a log that a session writes and a test reads.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// A stage is a spool, a log and a configuration for sessions.
type stage struct {
	t      testing.TB
	dir    string
	log    *buffer
	config Config
	client Client
}

// newStage is what most tests want: local.test is the domain, the client is not
// trusted, and time stands still.
func newStage(t testing.TB) *stage {
	t.Helper()
	dir := t.TempDir()
	for _, box := range []string{"tmp", "new", "cur", "bad"} {
		if err := os.Mkdir(filepath.Join(dir, box), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	spool, err := spoolfmt.OpenFeeder(dir, spoolfmt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := spool.Close(); err != nil {
			t.Error(err)
		}
	})
	log := new(buffer)
	return &stage{t: t, dir: dir, log: log, config: Config{
		Hostname:  "mx.local.test",
		Spool:     FromSpool(spool),
		Log:       eventlog.New(log, "smap"),
		Timeout:   patience,
		MaxBytes:  1 << 20,
		MaxRecip:  100,
		MaxErrors: 10,
		Local:     func(domain string) bool { return strings.ToLower(domain) == "local.test" },
		Now:       func() time.Time { return time.Date(2026, 11, 23, 20, 0, 0, 0, time.UTC) },
	}, client: Client{Addr: netip.MustParseAddr("192.0.2.1")}}
}

// connect starts a session and returns the client's end of its connection, and
// what waits for the session's end.
func (s *stage) connect(ctx context.Context) (client *os.File, wait func()) {
	s.t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		s.t.Fatal(err)
	}
	var ends [2]*os.File
	for i, fd := range fds {
		if err := unix.SetNonblock(fd, true); err != nil {
			s.t.Fatal(err)
		}
		ends[i] = os.NewFile(uintptr(fd), "socket")
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer ends[1].Close()
		Serve(ctx, s.config, s.client, ends[1])
		linger(ends[1])
	}()
	wait = func() {
		s.t.Helper()
		select {
		case <-done:
		case <-time.After(patience):
			s.t.Fatal("the session does not end")
		}
	}
	s.t.Cleanup(func() {
		ends[0].Close()
		wait()
	})
	if err := ends[0].SetDeadline(time.Now().Add(patience)); err != nil {
		s.t.Fatal(err)
	}
	return ends[0], wait
}

// linger ends the server's side and reads what the client still sends, as smap
// does: closing at once would reset the connection.
func linger(f *os.File) {
	raw, err := f.SyscallConn()
	if err == nil {
		_ = raw.Control(func(fd uintptr) { _ = unix.Shutdown(int(fd), unix.SHUT_WR) }) // the client may be gone
	}
	_ = f.SetReadDeadline(time.Now().Add(patience))
	_, _ = io.Copy(io.Discard, f)
}

// A stored is a message in new/.
type stored struct{ envelope, content string }

// messages are those in new/, in the order in which they were accepted. Their
// ids are replaced by ID.
func (s *stage) messages() []stored {
	s.t.Helper()
	var all []stored
	for _, name := range s.names("new") {
		id, ok := strings.CutSuffix(name, ".envelope")
		if !ok {
			continue
		}
		read := func(suffix string) string {
			b, err := os.ReadFile(filepath.Join(s.dir, "new", id+suffix))
			if err != nil {
				s.t.Fatal(err)
			}
			return string(b)
		}
		content := read(".eml")
		// It is another one in each run, as the id in our Received field is.
		sum := fmt.Sprintf("CRC32C: %08x\n", crc32.Checksum([]byte(content), envelope.ChecksumTable()))
		before, after, ok := strings.Cut(read(".envelope"), sum)
		if !ok {
			s.t.Errorf("no %q in the envelope:\n%s", sum, before)
		}
		all = append(all, stored{before + after, strings.ReplaceAll(content, id, "ID")})
	}
	if n := len(s.names("new")); n != 2*len(all) {
		s.t.Errorf("%d files in new/ for %d messages", n, len(all))
	}
	return all
}

// names lists a box.
func (s *stage) names(box string) []string {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Join(s.dir, box))
	if err != nil {
		s.t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names
}

// nothingLeft wants tmp/ empty, as it is whenever a session ended by itself.
func (s *stage) nothingLeft() {
	s.t.Helper()
	if names := s.names("tmp"); len(names) > 0 {
		s.t.Errorf("left in tmp/: %v", names)
	}
}

var (
	anID      = regexp.MustCompile(`20\d{6}T\d{6}\.\d{6}Z-[0-9a-z]+`)
	logPrefix = regexp.MustCompile(`(?m)^\S+ smap: `)
	logTime   = regexp.MustCompile(`seconds=\S+`)
)

// events are the lines of the log, without times and ids. Lines that are alike
// are one, with their number.
func (s *stage) events() string {
	text := anID.ReplaceAllString(s.log.String(), "ID")
	text = logTime.ReplaceAllString(logPrefix.ReplaceAllString(text, ""), "seconds=N")
	var b strings.Builder
	lines := slices.Collect(strings.Lines(text))
	for i, n := 0, 0; i < len(lines); i += n {
		for n = 1; i+n < len(lines) && lines[i+n] == lines[i]; n++ {
		}
		if n > 1 {
			fmt.Fprint(&b, n, "* ")
		}
		b.WriteString(lines[i])
	}
	return b.String()
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }
