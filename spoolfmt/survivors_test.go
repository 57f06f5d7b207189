package spoolfmt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// What mutants that survived have shown to be untested.

// TestPairInNewBlocked: a message in new does not lose its envelope to a content in
// cur that is another message's.
func TestPairInNewBlocked(t *testing.T) {
	x := newTestSpool(t)
	x.put("new/x.eml", "\n")
	x.put("new/x.envelope", envelopeText(1))
	x.put("cur/x.eml", "\n")
	x.cannotClaim("x", ErrBlocked)
	x.has("cur/x.eml", "new/x.eml", "new/x.envelope")
}

// TestEnvelopeWaits: a draft's content does not stand for a moment beside an
// envelope that waits in new under its id.
func TestEnvelopeWaits(t *testing.T) {
	x := newTestSpool(t)
	d, err := x.NewDraft()
	if err != nil {
		t.Fatal(err)
	}
	id := d.ID()
	x.put("new/"+id+".envelope", envelopeText(1))
	move := x.sys.move
	x.sys.move = func(a int, from string, b int, to string) error {
		if b == x.dirs[New] && to == id+".eml" {
			t.Error("the content was moved to new under the id that is taken")
		}
		return move(a, from, b, to)
	}
	if err := d.Commit(testEnvelope(t)); err != nil || d.ID() == id {
		t.Errorf("%v, id %s", err, d.ID())
	}
}

// TestFinishFails: while the envelope is there the message is not finished.
func TestFinishFails(t *testing.T) {
	x := newTestSpool(t)
	id := x.feed("x\n")
	c := x.claim(id)
	x.sys.replace = func(int, string, int, string) error { return errInjected }
	if err := c.Finish(); err == nil {
		t.Error("finished, and the envelope is there")
	}
	x.sys = systemCalls()
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := x.Flush(); err != nil {
		t.Fatal(err)
	}
	x.has()
}

// TestReplacedIsNotRecorded: an envelope that somebody put in the place of the
// one that was read is not overwritten.
func TestReplacedIsNotRecorded(t *testing.T) {
	x := newTestSpool(t)
	id := x.feed("x\n")
	c := x.claim(id)
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	x.put("cur/other", "theirs")
	if err := os.Rename(filepath.Join(x.dir, "cur/other"), filepath.Join(x.dir, "cur", id+".envelope")); err != nil {
		t.Fatal(err)
	}
	if err := c.Record(x.clock); err == nil || !strings.Contains(err.Error(), "another file") {
		t.Errorf("recorded: %v", err)
	}
	if got := x.read("cur/" + id + ".envelope"); got != "theirs" {
		t.Errorf("the envelope is %q", got)
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestReserveGrows: room that was enough once is not taken for enough.
func TestReserveGrows(t *testing.T) {
	x := newTestSpool(t)
	c := x.claim(x.feed("x\n"))
	if err := c.Load(); err != nil {
		t.Fatal(err)
	}
	if err := c.Reserve(); err != nil {
		t.Fatal(err)
	}
	c.room.size = 1
	if err := c.Reserve(); err != nil || c.room.size < roomSize {
		t.Errorf("%v, room for %d octets", err, c.room.size)
	}
	if err := c.Release(); err != nil {
		t.Fatal(err)
	}
}

// TestAsideNotSynced: as long as the names in bad may be lost, the message stays
// in cur, and is there alone.
func TestAsideNotSynced(t *testing.T) {
	x := newTestSpool(t)
	id := x.feed("x\n")
	c := x.claim(id)
	x.sys.fsync = func(fd int) error {
		if fd == x.dirs[Bad] {
			return errInjected
		}
		return nil
	}
	if err := c.SetAside("why"); err == nil {
		t.Error("set aside without a sync")
	}
	x.has("cur/"+id+".eml", "cur/"+id+".envelope")
	x.sys = systemCalls()
	if err := c.SetAside("why"); err != nil {
		t.Error(err)
	}
	x.has("bad/"+id+".eml", "bad/"+id+".envelope")
}

// TestOrphanBesideEnvelope: an orphan takes no name in bad beside whose envelope
// it would be the content.
func TestOrphanBesideEnvelope(t *testing.T) {
	x := newTestSpool(t)
	x.put("cur/x.eml", "x\n")
	x.put("bad/x.envelope", envelopeText(2))
	x.sweep(Orphaned + time.Minute)
	x.sweep(Orphaned + 3*time.Minute)
	x.has("bad/x.1.eml", "bad/x.envelope")
}
