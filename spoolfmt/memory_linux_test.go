package spoolfmt

import (
	"errors"
	"io"
	"math"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

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

// TestCopyInMemory: on a full disk the copy of another user's content is in memory, as far as there is some for that, and
// takes none when the claim has ended.
func TestCopyInMemory(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root makes files of other users")
	}
	x := newTestSpool(t)
	const text = "Subject: x\n\nhello\n"
	id := x.feed(text)
	for _, name := range []string{id + ".eml", id + ".envelope"} {
		if err := os.Chown(x.dir+"/new/"+name, 12345, -1); err != nil {
			t.Fatal(err)
		}
	}
	open := x.sys.open
	x.sys.open = func(dir int, name string, flags int, mode uint32) (int, error) {
		if strings.HasSuffix(name, ".copy") {
			return -1, unix.ENOSPC
		}
		return open(dir, name, flags, mode)
	}
	c := x.claim(id)
	x.memory.Store(maxMemory)
	if err := c.Load(); !errors.Is(err, unix.ENOSPC) {
		t.Errorf("without memory: %v", err)
	}
	x.memory.Store(0)
	c = x.claimAgain(c)
	if x.memory.Load() != int64(len(text)) {
		t.Errorf("%d octets are in memory", x.memory.Load())
	}
	for range 2 {
		f, err := c.Open()
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(f)
		if err := errors.Join(err, f.Close()); err != nil || string(got) != text {
			t.Errorf("%q, %v", got, err)
		}
	}
	if err := c.Finish(); err != nil {
		t.Fatal(err)
	}
	if err := x.Flush(); err != nil {
		t.Fatal(err)
	}
	if x.memory.Load() != 0 {
		t.Errorf("%d octets stay in memory", x.memory.Load())
	}
}
