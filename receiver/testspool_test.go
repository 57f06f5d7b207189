package receiver

import (
	"errors"

	"smap/spoolfmt"
)

// A testSpool fails where it is told to.
type testSpool struct {
	Spool
	bytes, inodes uint64 // Free's answer, when not both are zero
	step          string // "free", "new", "received", "write", "envelope", "commit", "visible" or "abort"
	err           error
}

func (s *testSpool) Free() (bytes, inodes uint64, err error) {
	if s.step == "free" {
		return 0, 0, s.err
	}
	if s.bytes > 0 || s.inodes > 0 {
		return s.bytes, s.inodes, nil
	}
	return s.Spool.Free()
}

func (s *testSpool) NewDraft() (Draft, error) {
	if s.step == "new" {
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
	if d.s.step == "received" || d.s.step == "write" && d.writes > 1 {
		return 0, d.s.err
	}
	return d.Draft.Write(p)
}

func (d *testDraft) Commit(e *spoolfmt.Envelope) error {
	switch d.s.step {
	case "commit":
		return errors.Join(&spoolfmt.CommitError{Step: "fsync content", Err: d.s.err}, d.Draft.Abort())
	case "visible":
		if err := d.Draft.Commit(e); err != nil {
			return err
		}
		return &spoolfmt.CommitError{Step: "fsync new/", Visible: true, Err: d.s.err}
	}
	return d.Draft.Commit(e)
}

func (d *testDraft) Abort() error {
	err := d.Draft.Abort()
	if d.s.step == "abort" {
		err = d.s.err
	}
	return err
}
