//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// paths are where programs are; guests with packages of Debian's have them in the usual places.
const paths = "/bin:/usr/sbin:/usr/bin:/sbin"

// boot is the first process: it prepares the machine, does the jobs and switches off, whatever happens. What is printed is
// the serial log, which the host reads.
func boot() {
	defer off()
	if err := prepare(); err != nil {
		fmt.Println("guest: boot:", err)
		return
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err == nil {
		fmt.Println("guest: kernel", unix.ByteSliceToString(u.Release[:]), unix.ByteSliceToString(u.Machine[:]))
	}
	jobs, err := os.ReadFile("/jobs")
	if err != nil {
		fmt.Println("guest: boot:", err)
		return
	}
	for line := range strings.Lines(string(jobs)) {
		if words := strings.Fields(line); len(words) >= 3 {
			do(words[0], words[1], words[2:])
		}
	}
	fmt.Println("guest: all done")
}

// do does one job: a name, a directory, a command.
func do(name, dir string, words []string) {
	fmt.Println("guest: begin", name)
	began := time.Now()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, os.Stdout, os.Stdout
	cmd.Env = []string{"PATH=" + paths, "HOME=/", "TMPDIR=/tmp"}
	err := cmd.Run()
	if err == nil {
		fmt.Printf("guest: ok %s %.1f\n", name, time.Since(began).Seconds())
	} else {
		fmt.Printf("guest: failed %s %.1f %v\n", name, time.Since(began).Seconds(), err)
	}
}

func off() {
	unix.Sync()
	time.Sleep(200 * time.Millisecond) // for the last octets on the serial line, which nobody acknowledges
	err := unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	fmt.Println("guest: power off:", err)
	select {}
}

func prepare() error {
	for _, m := range []struct{ kind, at string }{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"tmpfs", "/tmp"}} {
		if err := errors.Join(os.MkdirAll(m.at, 0o755), unix.Mount(m.kind, m.at, m.kind, 0, "")); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	if err := errors.Join(os.Chmod("/tmp", 0o777|os.ModeSticky), modules(), loopback(), os.Setenv("PATH", paths)); err != nil {
		return err
	}
	return unix.Sethostname([]byte("guest"))
}

// modules loads what the host has put into /modules, in the order of names.
func modules() error {
	all, err := filepath.Glob("/modules/*.ko")
	if err != nil {
		return err
	}
	for _, name := range all {
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		err = unix.FinitModule(int(f.Fd()), "", 0)
		if cerr := f.Close(); err == nil {
			err = cerr
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

// loopback switches lo on.
func loopback() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return up(fd, "lo")
}
