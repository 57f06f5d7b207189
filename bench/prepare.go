//go:build linux

package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// prepare makes the scratch directory, the disk and the C programs.
func (b *bench) prepare() error {
	owner, err := user.Lookup("mail")
	if err != nil {
		return err
	}
	if b.uid, err = strconv.Atoi(owner.Uid); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("/var/tmp", "smap-bench-")
	if err != nil {
		return err
	}
	b.dir = dir
	b.undo = append(b.undo, func() error { return os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		return err
	}
	if err := b.mount(); err != nil {
		return err
	}
	if err := b.logSink(); err != nil {
		return err
	}
	for name, args := range map[string][]string{
		"answer": nil, "commit": {"-pthread"}, "watch": nil, "stamp": {"-static", `-DFIFO="` + b.file("fifo") + `"`},
	} {
		args = append(args, "-O2", "-o", b.file(name), filepath.Join("bench", "floor", name+".c"))
		if _, err := b.output("gcc", args...); err != nil {
			return err
		}
	}
	return nil
}

// mount makes a journaled ext4 of 12 GiB, with inodes for a million messages; it takes only the space that is written.
func (b *bench) mount() error {
	image := b.file("disk.img")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(image, 12<<30); err != nil {
		return err
	}
	if _, err := b.output("mkfs.ext4", "-q", "-F", "-N", "2600000", "-E", "lazy_itable_init=0,lazy_journal_init=0", image); err != nil {
		return err
	}
	b.disk = b.file("disk")
	if err := os.Mkdir(b.disk, 0o755); err != nil {
		return err
	}
	if _, err := b.output("mount", "-o", "loop", image, b.disk); err != nil {
		return err
	}
	b.undo = append(b.undo, func() error { return umount(b.disk) })
	return nil
}

// umount waits for what was killed a moment ago and may still hold it.
func umount(dir string) error {
	var err error
	for range 50 {
		if err = exec.Command("umount", dir).Run(); err == nil {
			return nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("umount %s: %w", dir, err)
}

// file names something in the scratch directory.
func (b *bench) file(elem ...string) string {
	return filepath.Join(append([]string{b.dir}, elem...)...)
}

// output runs a command to its end.
func (b *bench) output(name string, args ...string) (string, error) {
	out, err := exec.CommandContext(b.ctx, name, args...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out), nil
}

// spool makes an empty spool on the disk, owned by one user, and gives its directory.
func (b *bench) spool(name string, uid int) (string, error) {
	top := filepath.Join(b.disk, name)
	if err := os.RemoveAll(top); err != nil {
		return "", err
	}
	return top, b.boxes(top, uid)
}

// boxes makes the directories of a spool.
func (b *bench) boxes(top string, uid int) error {
	for _, dir := range []string{top, top + "/tmp", top + "/new", top + "/cur", top + "/bad"} {
		if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, uid, -1)); err != nil {
			return err
		}
	}
	return nil
}

// table writes a netperm-table.
func (b *bench) table(lines ...string) (string, error) {
	b.tables++
	path := b.file(fmt.Sprintf("netperm-table-%d", b.tables))
	return path, os.WriteFile(path, []byte(strings.Join(lines, "\n")+"\n"), 0o600)
}

// logSink reads /dev/log where no log daemon does: smap under inetd does not work without one, and its lines cost time.
func (b *bench) logSink() error {
	address := &net.UnixAddr{Name: "/dev/log", Net: "unixgram"}
	if c, err := net.DialUnix("unixgram", nil, address); err == nil {
		return c.Close()
	}
	if err := os.Remove(address.Name); err != nil && !os.IsNotExist(err) {
		return err
	}
	conn, err := net.ListenUnixgram("unixgram", address)
	if err != nil {
		return err
	}
	b.undo = append(b.undo, func() error {
		return errors.Join(conn.Close(), os.Remove(address.Name))
	})
	go func() {
		buf := make([]byte, 8192)
		for {
			if _, err := conn.Read(buf); err != nil {
				return
			}
		}
	}()
	return os.Chmod(address.Name, 0o666)
}
