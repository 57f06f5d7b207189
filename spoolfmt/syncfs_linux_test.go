package spoolfmt

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestSyncReadOnly: a file system that trouble made read-only does not sync, and
// the kernel does not say so. Commits must not be told that they are durable.
func TestSyncReadOnly(t *testing.T) {
	dir := t.TempDir()
	err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=64k")
	if err != nil {
		t.Skipf("mounting needs root: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
	d, err := os.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	if err := syncfs(int(d.Fd())); err != nil {
		t.Errorf("writable: %v", err)
	}
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	if err := syncfs(int(d.Fd())); err != unix.EROFS {
		t.Errorf("read-only: %v instead of EROFS", err)
	}
}
