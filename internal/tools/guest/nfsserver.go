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

// nfsLease is how long a client keeps its locks that is not heard of, in seconds: short, so that a test sees its end.
const nfsLease = "10"

// run does a command to its end.
func run(name string, args ...string) error {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, out)
	}
	return nil
}

// mountAt mounts, and makes the directory.
func mountAt(device, dir, kind string) error {
	if err := errors.Join(os.MkdirAll(dir, 0o755), unix.Mount(device, dir, kind, unix.MS_NOATIME, "")); err != nil {
		return fmt.Errorf("mount %s at %s: %w", device, dir, err)
	}
	return nil
}

// nfsState is what NFS's daemons remember across a crash: on the disk, which outlives the machine.
func nfsState(disk string) error {
	state := filepath.Join(disk, "nfs-state")
	for _, dir := range []string{"sm", "sm.bak", "nfsdcld", "v4recovery"} {
		if err := os.MkdirAll(filepath.Join(state, dir), 0o755); err != nil {
			return err
		}
	}
	for _, file := range []string{"etab", "rmtab", "xtab", "state"} {
		f, err := os.OpenFile(filepath.Join(state, file), os.O_CREATE, 0o644)
		if err := errors.Join(err, f.Close()); err != nil {
			return err
		}
	}
	if err := errors.Join(os.MkdirAll("/var/lib", 0o755), os.RemoveAll("/var/lib/nfs"), os.Symlink(state, "/var/lib/nfs"),
		os.MkdirAll("/run/rpcbind", 0o755), mountAt("rpc_pipefs", "/run/rpc_pipefs", "rpc_pipefs")); err != nil {
		return err
	}
	return errors.Join(run("rpcbind", "-w"), run("rpc.statd"))
}

// nfsServer exports its disk. It never ends by itself.
func nfsServer(clients int) error {
	for i := range clients {
		if err := address(fmt.Sprint("eth", i), fmt.Sprintf("10.9.%d.1", i)); err != nil {
			return err
		}
	}
	if err := errors.Join(mountAt("/dev/vda", "/disk", "ext4"), nfsState("/disk"), mountAt("nfsd", "/proc/fs/nfsd", "nfsd")); err != nil {
		return err
	}
	export := "/disk/export"
	if err := errors.Join(os.MkdirAll(export, 0o755),
		os.WriteFile("/etc/exports", []byte(export+" 10.9.0.0/16(rw,sync,no_root_squash,no_subtree_check,fsid=0)\n"), 0o644)); err != nil {
		return err
	}
	for _, setting := range []struct{ file, value string }{
		{"/proc/fs/nfsd/nfsv4leasetime", nfsLease}, {"/proc/fs/nfsd/nfsv4gracetime", nfsLease}, {"/proc/sys/fs/nfs/nlm_grace_period", nfsLease},
	} {
		if err := os.WriteFile(setting.file, []byte(setting.value), 0); err != nil {
			return err
		}
	}
	if err := errors.Join(run("nfsdcld"), run("exportfs", "-r"), run("rpc.nfsd", "4"), run("rpc.mountd")); err != nil {
		return err
	}
	fmt.Println("guest: serves")
	for { // an empty select would be a deadlock: nothing else runs here
		time.Sleep(time.Hour)
	}
}
