package spoolfmt

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestMissingBox: a box that a drainer makes lets in whom the spool lets in. A
// private new in a shared spool would shut out every feeder.
func TestMissingBox(t *testing.T) {
	for _, mode := range []os.FileMode{PrivateMode, SharedMode} {
		dir := t.TempDir()
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		s, err := OpenDrainer(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for b := Tmp; b <= Bad; b++ {
			st, err := fstat(s.dirs[b])
			if err != nil {
				t.Fatal(err)
			}
			if got, want := uint32(st.Mode)&modeBits, BoxMode(b, mode == SharedMode); got != want {
				t.Errorf("spool of mode %o: %s has mode %o, want %o", mode, b, got, want)
			}
		}
		if err := errors.Join(s.Close(), os.Remove(filepath.Join(dir, "new"))); err != nil {
			t.Fatal(err)
		}
		if s, err = OpenFeeder(dir, Options{}); err != nil {
			t.Fatal(err)
		}
		if st, err := os.Stat(filepath.Join(dir, "new")); err != nil || uint32(st.Mode().Perm()) != BoxMode(New, mode == SharedMode)&0o777 {
			t.Errorf("spool of mode %o: new is made as %v, %v", mode, st, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
