package receiver

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// A testSpool fails where it is told to.
type testSpool struct {
	Spool
	bytes, inodes uint64 // Free's answer, when not both are zero
	step          string // "free", "new", "received", "write", "commit", "visible" or "abort"
	once          bool   // the first time only
	err           error
}

func (s *testSpool) fails(step string) bool {
	if s.step != step {
		return false
	}
	if s.once {
		s.step = ""
	}
	return true
}

func (s *testSpool) Free() (bytes, inodes uint64, err error) {
	if s.fails("free") {
		return 0, 0, s.err
	}
	if s.bytes > 0 || s.inodes > 0 {
		return s.bytes, s.inodes, nil
	}
	return s.Spool.Free()
}

func (s *testSpool) NewDraft() (Draft, error) {
	if s.fails("new") {
		return nil, s.err
	}
	d, err := s.Spool.NewDraft()
	return &testDraft{Draft: d, s: s}, err
}

type testDraft struct {
	Draft
	s      *testSpool
	writes int
}

func (d *testDraft) Write(p []byte) (int, error) {
	d.writes++
	if d.writes == 1 && d.s.fails("received") || d.writes > 1 && d.s.fails("write") {
		return 0, d.s.err
	}
	return d.Draft.Write(p)
}

func (d *testDraft) Commit(e *envelope.Envelope) error {
	if d.s.fails("commit") {
		return errors.Join(&spoolfmt.CommitError{Step: "fsync content", Err: d.s.err}, d.Draft.Abort())
	}
	if d.s.fails("visible") {
		if err := d.Draft.Commit(e); err != nil {
			return err
		}
		return &spoolfmt.CommitError{Step: "fsync new/", Visible: true, Err: d.s.err}
	}
	return d.Draft.Commit(e)
}

func (d *testDraft) Abort() error {
	if err := d.Draft.Abort(); err != nil || !d.s.fails("abort") {
		return err
	}
	return d.s.err
}

// TestTrouble fails each step of a message. The client hears that it may come
// again, nothing is accepted, and when the trouble is over the session is as
// good as new.
func TestTrouble(t *testing.T) {
	t.Parallel()
	messages := map[string]string{
		"DATA":   "DATA\r\nSubject: x\r\n\r\ntext\r\n.\r\n",
		"BDAT":   "BDAT 8 LAST\r\ntext\r\n\r\n",
		"chunks": "BDAT 6\r\ntext\r\nBDAT 6 LAST\r\nmore\r\n",
	}
	replies := map[error]string{unix.ENOSPC: "452 4.3.1 ", unix.EDQUOT: "452 4.3.1 ", unix.EIO: "451 4.3.0 ", unix.EMFILE: "451 4.3.0 "}
	for _, step := range []string{"free", "new", "received", "write", "commit", "visible"} {
		for how, message := range messages {
			for fault, want := range replies {
				t.Run(fmt.Sprint(step, "/", how, "/", fault), func(t *testing.T) {
					s := newStage(t)
					spool := &testSpool{Spool: s.config.Spool, step: step, once: true, err: fault}
					s.config.Spool = spool
					if step == "free" {
						s.config.MinFree, want = 1, "451 4.3.0 "
					}
					conn := &reel{pieces: []string{envelopeOf + message + "RSET\r\nNOOP\r\n" +
						"MAIL FROM:<a2@c.test>\r\nRCPT TO:<b@local.test>\r\n" + message + "QUIT\r\n"}}
					Serve(t.Context(), s.config, s.client, conn)
					out := conn.out.String()
					if !strings.Contains(out, "\r\n"+want) || strings.Count(out, "Mail accepted") != 1 ||
						!strings.Contains(out, "250 2.0.0 OK\r\n") || !strings.HasSuffix(out, "Closing connection\r\n") {
						t.Errorf("replies:\n%s", out)
					}
					visible := 1
					if step == "visible" {
						visible = 2
					}
					all := s.messages()
					if len(all) != visible || !strings.Contains(all[visible-1].envelope, "<a2@c.test>") {
						t.Errorf("in new/: %q", all)
					}
					s.nothingLeft()
					if log := s.log.String(); !strings.Contains(log, "fwtksyserr: ") || !strings.Contains(log, fault.Error()) {
						t.Errorf("log:\n%s", log)
					}
				})
			}
		}
	}
}

// TestTroubleAbort: that a draft cannot be removed is said in the log and is no
// concern of the client.
func TestTroubleAbort(t *testing.T) {
	s := newStage(t)
	s.config.MaxBytes = 3
	s.config.Spool = &testSpool{Spool: s.config.Spool, step: "abort", err: unix.EIO}
	conn := &reel{pieces: []string{envelopeOf + "DATA\r\ntext\r\n.\r\nQUIT\r\n"}}
	Serve(t.Context(), s.config, s.client, conn)
	if out := conn.out.String(); !strings.Contains(out, "\r\n552 5.3.4 ") {
		t.Errorf("replies:\n%s", out)
	}
	if !strings.Contains(s.log.String(), "fwtksyserr: abort") {
		t.Errorf("log:\n%s", s.log)
	}
}
