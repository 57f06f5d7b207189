package spoolfmt

import (
	"math"
	"testing"

	"smap/spoolfmt/envelope"
)

// TestMemoryIsBounded has claims ask for copies in memory: together they get 64 MiB, and
// a size that a sparse file can have is refused however many ask for it at once.
func TestMemoryIsBounded(t *testing.T) {
	s := &Spool{}
	claim := func(size int64) *Claim {
		e := &envelope.Envelope{}
		e.SetSize(size)
		return &Claim{s: s, env: e}
	}
	first, second, huge := claim(40<<20), claim(40<<20), claim(math.MaxInt64)
	if !first.intoMemory() {
		t.Fatal("40 MiB were refused")
	}
	if second.intoMemory() {
		t.Error("80 MiB were granted")
	}
	s.memory.Add(math.MaxInt64 - s.memory.Load()) // as if others were asking for such sizes now
	if huge.intoMemory() {
		t.Error("an overflow was granted")
	}
	s.memory.Store(first.inMemory)
	if err := first.closeCopy(); err != nil {
		t.Fatal(err)
	}
	if !second.intoMemory() {
		t.Error("40 MiB were refused after others were given back")
	}
	if err := second.closeCopy(); err != nil {
		t.Fatal(err)
	}
	if got := s.memory.Load(); got != 0 {
		t.Errorf("%d octets were not given back", got)
	}
}
