package main

import (
	"io"
	"net/netip"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"smap/internal/eventlog"
	"smap/netperm"
	"smap/receiver"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// A brokenSpool panics when the first message is committed.
type brokenSpool struct {
	receiver.Spool
	broken bool
}

func (s *brokenSpool) NewDraft() (receiver.Draft, error) {
	d, err := s.Spool.NewDraft()
	return brokenDraft{d, s}, err
}

type brokenDraft struct {
	receiver.Draft
	s *brokenSpool
}

func (d brokenDraft) Commit(e *envelope.Envelope) error {
	if !d.s.broken {
		d.s.broken = true
		panic("a fault of ours")
	}
	return d.Draft.Commit(e)
}

// TestPanicInCommit: the session in which smap fails ends with 421, and the next
// one in the same process is served.
func TestPanicInCommit(t *testing.T) {
	dir := t.TempDir()
	for _, box := range []string{"tmp", "new", "cur", "bad"} {
		if err := os.Mkdir(dir+"/"+box, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	spool, err := spoolfmt.OpenFeeder(dir, spoolfmt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	table, err := netperm.Parse([]byte("smap: directory "+dir+"\n"), "table", netperm.Options{Program: "smap"})
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	s := &server{
		setup: &setup{table: table, config: receiver.Config{
			Hostname: "mx.test", Log: eventlog.New(&log, "smap"),
			Spool: &brokenSpool{Spool: receiver.FromSpool(spool)},
			Local: func(string) bool { return true },
		}},
		limiter: newLimiter(2, 2, func(bool) {}),
	}
	for _, reply := range []string{"421 mx.test ", "250 Mail accepted"} {
		fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
		if err != nil {
			t.Fatal(err)
		}
		ours, theirs := os.NewFile(uintptr(fds[0]), "client"), os.NewFile(uintptr(fds[1]), "server")
		s.start(t.Context(), visitor{conn: theirs, peer: netip.AddrPort{}}, theirs)
		if _, err := io.WriteString(ours, "HELO c\r\nMAIL FROM:<>\r\nRCPT TO:<b@mx.test>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n"); err != nil {
			t.Fatal(err)
		}
		out, err := io.ReadAll(ours)
		if err != nil || !strings.Contains(string(out), "\r\n"+reply) {
			t.Errorf("%q, %v; want %q", out, err, reply)
		}
		s.running.Wait()
		ours.Close()
	}
	if s.drain() != exitOK || !strings.Contains(log.String(), "fwtksyserr: panic") {
		t.Errorf("log:\n%s", log.String())
	}
}
