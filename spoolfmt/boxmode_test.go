package spoolfmt

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
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

// TestModeOnNFS: where tmp says so, files can be written by the drainer's group,
// and a check finds nothing wrong with that.
func TestModeOnNFS(t *testing.T) {
	for tmp, want := range map[os.FileMode]os.FileMode{0o733: 0o640, 0o773: 0o660} {
		dir := t.TempDir()
		if err := os.Chmod(dir, SharedMode); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(os.Mkdir(filepath.Join(dir, "tmp"), 0o700),
			os.Chmod(filepath.Join(dir, "tmp"), tmp|os.ModeSetgid|os.ModeSticky)); err != nil {
			t.Fatal(err)
		}
		s, err := OpenDrainer(dir, Options{})
		if err != nil {
			t.Fatal(err)
		}
		d, err := s.NewDraft()
		if err != nil {
			t.Fatal(err)
		}
		if err := d.Commit(testEnvelope(t)); err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{".eml", ".envelope"} {
			st, err := os.Stat(filepath.Join(dir, "new", d.ID()+suffix))
			if err != nil || st.Mode().Perm() != want {
				t.Errorf("tmp %o: %s: %v, %v, want mode %o", tmp, suffix, st.Mode(), err, want)
			}
		}
		err = s.Check(t.Context(), CheckOptions{}, func(f Finding) {
			if strings.Contains(f.Text, "mode") {
				t.Errorf("tmp %o: %v", tmp, &f)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
