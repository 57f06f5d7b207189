package spoolfmt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"smap/spoolfmt/envelope"
)

// testSpool is a drainer's spool in a temporary directory, with a clock that
// the test moves.
type testSpool struct {
	*Spool
	t     *testing.T
	dir   string
	clock time.Time
}

func newTestSpool(t *testing.T) *testSpool {
	t.Helper()
	dir := t.TempDir()
	s, err := OpenDrainer(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	x := &testSpool{Spool: s, t: t, dir: dir, clock: time.Now()}
	s.now = func() time.Time { return x.clock }
	t.Cleanup(func() {
		s.sys = systemCalls()
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return x
}

// Flush removes what is done, and its .done files.
func (x *testSpool) Flush() error { return x.flushAll() }

func testEnvelope(t *testing.T) *envelope.Envelope {
	t.Helper()
	e, err := envelope.New(envelope.Path{Address: "a@example.com"}, []envelope.Path{{Address: "b@example.org"}, {Address: "c@example.org"}})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// feed commits a message and returns its id.
func (x *testSpool) feed(content string) string {
	x.t.Helper()
	d, err := x.NewDraft()
	if err != nil {
		x.t.Fatal(err)
	}
	if _, err := d.Write([]byte(content)); err != nil {
		x.t.Fatal(err)
	}
	if err := d.Commit(testEnvelope(x.t)); err != nil {
		x.t.Fatal(err)
	}
	return d.ID()
}

// put writes a file as a shell would, with no regard for the protocol.
func (x *testSpool) put(name, content string) {
	x.t.Helper()
	if err := os.WriteFile(filepath.Join(x.dir, name), []byte(content), 0o640); err != nil {
		x.t.Fatal(err)
	}
}

// envelopeText is a valid envelope for a content of that size.
func envelopeText(size int) string {
	return fmt.Sprintf("Spool-Format: 1\nSender: <a@example.com>\nRecipient: <b@example.org>\nSize: %d\n\n", size)
}

// has compares all names in the spool, as box/name with random parts of
// private names left out, with what is expected.
func (x *testSpool) has(want ...string) {
	x.t.Helper()
	got := x.names()
	sort.Strings(want)
	if strings.Join(got, " ") != strings.Join(want, " ") {
		x.t.Errorf("spool holds %q, want %q", got, want)
	}
}

func (x *testSpool) names() []string {
	x.t.Helper()
	names := []string{}
	for b := Tmp; b <= Bad; b++ {
		err := x.Scan(b, func(e Entry) error {
			names = append(names, b.String()+"/"+e.Name)
			return nil
		})
		if err != nil {
			x.t.Fatal(err)
		}
	}
	sort.Strings(names)
	return names
}

// namesIn are the names of some boxes.
func (x *testSpool) namesIn(boxes ...string) []string {
	var some []string
	for _, name := range x.names() {
		if box, _, _ := strings.Cut(name, "/"); slices.Contains(boxes, box) {
			some = append(some, name)
		}
	}
	return some
}

func (x *testSpool) claim(id string) *Claim {
	x.t.Helper()
	c, err := x.Claim(id)
	if err != nil {
		x.t.Fatalf("claim %s: %v", id, err)
	}
	return c
}

func (x *testSpool) cannotClaim(id string, want error) {
	x.t.Helper()
	c, err := x.Claim(id)
	if err == nil {
		x.t.Errorf("claim %s: succeeded, want %v", id, want)
		if err := c.Release(); err != nil {
			x.t.Error(err)
		}
		return
	}
	if !errors.Is(err, want) {
		x.t.Errorf("claim %s: %v, want %v", id, err, want)
	}
}

// malformed claims a message, expects Load to refuse it, sets it aside, and
// returns the reason.
func (x *testSpool) malformed(id string) string {
	x.t.Helper()
	c := x.claim(id)
	err := c.Load()
	var bad *MalformedError
	if !errors.As(err, &bad) {
		x.t.Fatalf("load %s: %v, want a MalformedError", id, err)
	}
	if err := c.SetAside(bad.Error()); err != nil {
		x.t.Fatalf("set aside %s: %v", id, err)
	}
	return bad.Error()
}

func (x *testSpool) read(name string) string {
	x.t.Helper()
	b, err := os.ReadFile(filepath.Join(x.dir, name))
	if err != nil {
		x.t.Fatal(err)
	}
	return string(b)
}

// pass lets time go by for everything that looks twice.
func (x *testSpool) pass(d time.Duration) { x.clock = x.clock.Add(d) }

var errInjected = unix.EIO
