package receiver

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// A memorySpool keeps what is committed, for tests that want no disk.
type memorySpool struct {
	made      int
	open      int
	committed []memoryMessage
}

type memoryMessage struct {
	envelope *envelope.Envelope
	trace    string // our Received field
	content  string
}

func (s *memorySpool) Free() (bytes, inodes uint64, err error) { return 1 << 40, 1 << 20, nil }

func (s *memorySpool) NewDraft() (Draft, error) {
	s.made++
	s.open++
	return &memoryDraft{s: s, id: fmt.Sprint("id", s.made)}, nil
}

type memoryDraft struct {
	s       *memorySpool
	id      string
	trace   string
	content bytes.Buffer
	closed  bool
}

func (d *memoryDraft) ID() string  { return d.id }
func (d *memoryDraft) Size() int64 { return int64(len(d.trace) + d.content.Len()) }

func (d *memoryDraft) Write(p []byte) (int, error) {
	if d.trace == "" {
		d.trace = string(p)
		return len(p), nil
	}
	return d.content.Write(p)
}

func (d *memoryDraft) Commit(e *envelope.Envelope) error {
	e.SetSize(d.Size())
	if _, err := e.Marshal(); err != nil {
		return &spoolfmt.CommitError{Step: "envelope", Err: err}
	}
	d.s.committed = append(d.s.committed, memoryMessage{e, d.trace, d.content.String()})
	return d.Abort()
}

func (d *memoryDraft) Abort() error {
	if !d.closed {
		d.closed = true
		d.s.open--
	}
	return nil
}

// A reel is a connection whose client has said everything already: each Read
// gives one piece of it.
type reel struct {
	pieces []string
	out    bytes.Buffer
}

func (r *reel) Read(p []byte) (int, error) {
	for len(r.pieces) > 0 && r.pieces[0] == "" {
		r.pieces = r.pieces[1:]
	}
	if len(r.pieces) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.pieces[0])
	r.pieces[0] = r.pieces[0][n:]
	return n, nil
}

func (r *reel) Write(p []byte) (int, error)    { return r.out.Write(p) }
func (*reel) SetReadDeadline(time.Time) error  { return nil }
func (*reel) SetWriteDeadline(time.Time) error { return nil }
func (r *reel) replies() []string              { return splitReplies(r.out.String()) }
func octets(s string) []string                 { return strings.Split(s, "") }
func halves(s string, at int) []string         { return []string{s[:at], s[at:]} }

// splitReplies takes a server's output apart; the lines of one reply are joined.
func splitReplies(out string) []string {
	var replies []string
	var more strings.Builder
	for line := range strings.SplitAfterSeq(out, "\r\n") {
		more.WriteString(line)
		if len(line) > 3 && line[3] == '-' {
			continue
		}
		if more.Len() > 0 {
			replies = append(replies, more.String())
		}
		more.Reset()
	}
	return replies
}

// everything is a configuration with everything on offer but TLS.
func everything(spool Spool) Config {
	return Config{
		Hostname: "mx.local.test", Spool: spool, Log: discard(), MaxBytes: 1 << 20, MaxRecip: 100, MaxErrors: 10,
		OfferDSN: true, OfferUTF8: true, Local: func(d string) bool { return strings.ToLower(d) == "local.test" },
		Now: func() time.Time { return time.Unix(1764000000, 0) },
	}
}

// runReel has a session hear these pieces. Nothing is left open at its end.
func runReel(t testing.TB, pieces ...string) (replies []string, committed []memoryMessage) {
	t.Helper()
	spool := new(memorySpool)
	conn := &reel{pieces: pieces}
	Serve(t.Context(), everything(spool), Client{}, conn)
	if spool.open != 0 {
		t.Errorf("%d drafts are left open", spool.open)
	}
	return conn.replies(), spool.committed
}
