//go:build system

package crash

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"

	"golang.org/x/sys/unix"
)

// cutDisk is a file system on a loop device whose image can be copied in a moment while it is at work: the image is a file
// on a btrfs of its own, where a copy shares the blocks.
//
// The copy is what a disk holds whose power fails. What the file system has handed to the loop device and what the
// device has said to be done is in it; what is only in the file system's own memory, because nobody has synced it, is not.
// It is one moment, and no write is half in it: FICLONE takes the lock of the image's inode, which each write of the loop
// device takes as well, and writes out the image's pages before it shares the blocks. A request of several pages may be in
// it with some of them, as on a disk.
//
// Left out: a disk with a cache of its own, which loses what it said was written until it is told to flush. So a file
// system that forgets to flush is not noticed, but a program that forgets to sync is.
type cutDisk struct {
	kind  string // of the file system, as mkfs and mount name it
	host  string // where the btrfs with the image is mounted
	image string
}

// newCutDisk makes a disk and mounts it as the spool of the site, until the test ends.
func newCutDisk(s *kit.Site, kind string) *cutDisk {
	s.T.Helper()
	d := &cutDisk{kind: kind, host: s.File("host")}
	s.Mkdir(d.host, 0o755, 0, 0)
	mountNew(s.T, "btrfs", s.File("host.img"), d.host, 4096)
	if _, err := os.Stat("/sys/fs/btrfs/features/temp_fsid"); kind == "btrfs" && err != nil {
		s.T.Skip("this kernel cannot mount a btrfs beside its own copy: Linux 6.7 can")
	}
	d.image = filepath.Join(d.host, "image")
	mountNew(s.T, kind, d.image, s.Spool, 320) // XFS wants 300 MiB
	if err := os.Remove(s.Path("lost+found")); err != nil && !errors.Is(err, os.ErrNotExist) {
		s.T.Fatal(err)
	}
	s.MakeSpool()
	kit.Run(s.T, "sync", "-f", s.Spool) // the spool itself has been there for long
	return d
}

// mountNew makes a file system in a new sparse file, and mounts it until the test ends.
func mountNew(t *testing.T, kind, image, dir string, megabytes int64) {
	t.Helper()
	if err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, megabytes<<20)); err != nil {
		t.Fatal(err)
	}
	kit.Run(t, "mkfs."+kind, "-q", image)
	if err := mountLoop(kind, image, dir); err != nil {
		if strings.Contains(err.Error(), "unknown filesystem type") {
			t.Skip("this kernel has no " + kind)
		}
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unmount(dir); err != nil {
			t.Error(err)
		}
	})
}

func mountLoop(kind, image, dir string) error {
	options := "loop,noatime"
	if kind == "xfs" {
		options += ",nouuid" // its copy has the same id
	}
	if out, err := exec.Command("mount", "-t", kind, "-o", options, image, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("mount %s: %w: %s", image, err, out)
	}
	return nil
}

// unmount is patient with a process that is just leaving. In the end it takes the mount away all the same, and says so.
func unmount(dir string) error {
	var err error
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = unix.Unmount(dir, unix.UMOUNT_NOFOLLOW); err != unix.EBUSY {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", dir, errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH)))
	}
	return nil
}

// cut copies the image as it is at this moment.
func (d *cutDisk) cut(path string) error {
	from, err := os.Open(d.image)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(unix.IoctlFileClone(int(to.Fd()), int(from.Fd())), to.Close())
}

// with mounts a copy, whose journal is replayed by that, for the time of a function, and removes it.
func (d *cutDisk) with(image, dir string, do func() error) error {
	if err := mountLoop(d.kind, image, dir); err != nil {
		return err
	}
	var live, copied unix.Stat_t
	err := errors.Join(unix.Stat(filepath.Join(filepath.Dir(d.host), "spool"), &live), unix.Stat(dir, &copied))
	switch {
	case err != nil:
	case live.Dev == copied.Dev:
		err = errors.New("the file system itself was mounted, not its copy")
	default:
		err = do()
	}
	return errors.Join(err, unmount(dir), syscall.Unlink(image))
}
