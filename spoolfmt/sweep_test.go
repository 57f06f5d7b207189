package spoolfmt

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func (x *testSpool) sweep(after time.Duration) {
	x.t.Helper()
	if err := x.NewSweeper().Sweep(context.Background(), time.Now().Add(after)); err != nil {
		x.t.Fatal(err)
	}
}

func TestSweep(t *testing.T) {
	x := newTestSpool(t)
	x.put("tmp/half", "x")
	x.put("new/orphan.eml", "x\n")
	x.put("new/pair.eml", "x\n")
	x.put("new/pair.envelope", envelopeText(2))
	x.put("new/.hidden", "x")
	x.put("cur/finished.eml", "x\n")
	x.put("cur/finished.done", envelopeText(2))
	x.put("cur/ended.done", envelopeText(2))
	x.put("cur/lost.eml", "x\n")
	x.put("cur/stale.eml", "x\n")
	x.put("cur/stale.done", envelopeText(3))
	x.put("cur/deferred.eml", "x\n")
	x.put("cur/deferred.envelope", envelopeText(2))
	stay := []string{"new/.hidden", "new/pair.eml", "new/pair.envelope", "cur/deferred.eml", "cur/deferred.envelope"}

	x.sweep(Orphaned - time.Hour)
	x.has(append([]string{"tmp/half", "new/orphan.eml", "cur/lost.eml", "cur/stale.eml"}, stay...)...)
	x.sweep(Orphaned + time.Minute)
	x.has(append([]string{"new/orphan.eml", "cur/lost.eml", "cur/stale.eml"}, stay...)...)
	x.sweep(Orphaned + 2*time.Minute)
	x.has(append([]string{"bad/orphan.eml", "bad/lost.eml", "bad/stale.eml"}, stay...)...)
}

// TestSweepLeavesLocked: a feeder that is alive, however slow, holds the lock.
func TestSweepLeavesLocked(t *testing.T) {
	x := newTestSpool(t)
	x.put("new/slow.eml", "x\n")
	f, err := os.Open(filepath.Join(x.dir, "new/slow.eml"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := lock(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
	x.sweep(2 * Orphaned)
	x.has("new/slow.eml")
}

func TestSweepKeepsOrphanOfKnownEnvelope(t *testing.T) {
	for _, box := range []string{"new", "cur", "bad"} {
		x := newTestSpool(t)
		x.put("new/m.eml", "x\n")
		x.put(box+"/m.envelope", envelopeText(2))
		for n := range 3 { // it is seen twice
			x.sweep(time.Duration(2+n) * Orphaned)
		}
		x.has("new/m.eml", box+"/m.envelope")
	}
}

func TestSweepEndsWithContext(t *testing.T) {
	x := newTestSpool(t)
	x.put("tmp/half", "x")
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := x.NewSweeper().Sweep(ctx, time.Now()); err == nil {
		t.Error("a sweep went on after its context ended")
	}
}

// TestSweepSetsOddOrphanAside: what stands in new as a content but is no file.
func TestSweepSetsOddOrphanAside(t *testing.T) {
	x := newTestSpool(t)
	if err := os.Symlink("/etc/passwd", filepath.Join(x.dir, "new/link.eml")); err != nil {
		t.Fatal(err)
	}
	x.sweep(2 * Orphaned)
	x.sweep(3 * Orphaned)
	x.has("bad/link.eml")
}
