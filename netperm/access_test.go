package netperm

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func TestCanWrite(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	write(t, file, "x", 0o600)
	if err := CanWrite(file, os.Geteuid(), os.Getegid()); !errors.Is(err, unix.ENOTDIR) {
		t.Errorf("a file: %v", err)
	}
	if err := CanWrite(filepath.Join(dir, "none"), 1, 1); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("nothing: %v", err)
	}
	if err := CanWrite(dir, os.Geteuid(), os.Getegid()); err != nil {
		t.Errorf("our own: %v", err)
	}
	other := os.Geteuid() + 4242
	for mode, want := range map[os.FileMode]bool{0o700: false, 0o701: false, 0o702: false, 0o703: true, 0o733 | os.ModeSticky: true} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		if err := CanWrite(dir, other, other); (err == nil) != want {
			t.Errorf("mode %v, another user: %v", mode, err)
		}
	}
	if err := os.Chmod(dir, 0o730); err != nil {
		t.Fatal(err)
	}
	if err := CanWrite(dir, other, os.Getegid()); err != nil {
		t.Errorf("one of the group: %v", err)
	}
}
