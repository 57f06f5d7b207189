//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// errLeft: smapd could not deliver something. That is wrong only if it had been accepted.
var errLeft = errors.New("mail is left")

// deliver mounts a disk and runs smapd until everything in its spool is delivered, then throws the disk away.
func (c *checker) deliver(image string, take func(mark, text string) error) (err error) {
	dir := image + ".mnt"
	defer func() { err = errors.Join(err, os.Remove(image), os.RemoveAll(dir), os.RemoveAll(image+".table")) }()
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	err = mountImage(image, dir, c.kind)
	if err != nil && c.kind == "ext4" {
		err = errors.Join(c.repair(image), mountImage(image, dir, c.kind))
	}
	if err != nil {
		return fmt.Errorf("mount: %w", err)
	}
	defer func() { err = errors.Join(err, unmount(dir)) }()
	sink, err := newSink(take)
	if err != nil {
		return err
	}
	defer sink.close()
	table := image + ".table"
	rules := []string{"smapd: directory " + filepath.Join(dir, "spool"), "smapd: userid " + c.user, "smapd: agent lmtp " + sink.address,
		"smapd: badadmin none", "smapd: log stderr"}
	if err := os.WriteFile(table, []byte(strings.Join(rules, "\n")+"\n"), 0o600); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	for began := time.Now(); ; time.Sleep(5 * time.Second) {
		out, err := exec.CommandContext(ctx, c.smapd, "-c", table, "-once").CombinedOutput()
		if err == nil {
			return nil
		}
		// What has two names after the cut is left for a minute, and for the next smapd.
		if patience := 3 * time.Minute; time.Since(began) > patience {
			return fmt.Errorf("%w: %w: %s", errLeft, err, out[max(0, len(out)-500):])
		}
	}
}

// repair is what a machine does at its start with a file system that does not mount.
func (c *checker) repair(image string) error {
	c.mu.Lock()
	c.sum.repaired++
	c.mu.Unlock()
	out, err := exec.Command("e2fsck", "-fy", image).CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 { // errors were corrected
		return nil
	}
	if err != nil {
		return fmt.Errorf("e2fsck: %w: %s", err, out[max(0, len(out)-300):])
	}
	return nil
}

// mountImage mounts a file by a loop device that goes away with the mount.
func mountImage(image, dir, kind string) error {
	f, err := os.OpenFile(image, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer control.Close()
	var device *os.File
	for {
		n, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
		if err != nil {
			return err
		}
		if device, err = os.OpenFile(fmt.Sprint("/dev/loop", n), os.O_RDWR, 0); err != nil {
			return err
		}
		config := unix.LoopConfig{Fd: uint32(f.Fd()), Info: unix.LoopInfo64{Flags: unix.LO_FLAGS_AUTOCLEAR}}
		if err = unix.IoctlLoopConfigure(int(device.Fd()), &config); err == nil {
			break
		}
		if err := errors.Join(device.Close()); err != nil {
			return err
		}
		if !errors.Is(err, unix.EBUSY) { // else somebody else took it
			return err
		}
	}
	defer device.Close()
	options := ""
	if kind == "xfs" {
		options = "nouuid" // its copies have the same id
	}
	return unix.Mount(device.Name(), dir, kind, unix.MS_NOATIME, options)
}

// unmount is patient with a process that is just leaving.
func unmount(dir string) error {
	var err error
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if err = unix.Unmount(dir, 0); err != unix.EBUSY {
			return err
		}
	}
	return errors.Join(err, unix.Unmount(dir, unix.MNT_DETACH))
}
