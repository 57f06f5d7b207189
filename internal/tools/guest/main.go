//go:build linux

// Command guest is what runs in the machines of make guests: their first process, and the jobs that are no tests of a
// package.
//
//	guest                    as process 1: does the jobs in /jobs, then switches the machine off
//	guest way                one message from a client through smap, the spool and smapd into a maildir
//	guest sandbox            what smap says of its sandbox, for each mode
//	guest load DEVICE FS N   N messages on a disk whose writes are logged; see load.go
//	guest nfs-server CLIENTS serves /dev/vda to that many clients, until the host ends it
//	guest nfs-client ...     feeds and drains a spool on that; see nfsclient.go
//	guest without-sync COMMAND...  the command, whose syncs do nothing
//	guest check ...          what is left of them after power cuts; see check.go
//	guest check-on DEVICE ...  the same, with the log and the disks on a btrfs on that device
package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
)

func main() {
	if os.Getpid() == 1 {
		boot()
		return
	}
	if err := job(os.Args[1:]); err != nil {
		fmt.Println("guest:", err)
		os.Exit(1)
	}
}

func job(args []string) error {
	switch {
	case len(args) == 1 && args[0] == "way":
		return way()
	case len(args) == 1 && args[0] == "sandbox":
		return sandboxes()
	case len(args) >= 4 && args[0] == "load":
		n, err := strconv.Atoi(args[3])
		if err != nil {
			return err
		}
		return load(args[1], args[2], n, args[4:])
	}
	if len(args) == 2 && args[0] == "nfs-server" {
		n, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		return nfsServer(n)
	}
	if len(args) > 1 && args[0] == "nfs-client" {
		return nfsClient(args[1:])
	}
	if len(args) > 1 && args[0] == "without-sync" {
		return withoutSync(args[1:])
	}
	if len(args) > 2 && args[0] == "check-on" {
		return errors.Join(mountAt(args[1], "/clones", "btrfs"), check(args[2:]))
	}
	if len(args) > 1 && args[0] == "check" {
		return check(args[1:])
	}
	return errors.New("usage: guest way | sandbox | load DEVICE FS N [no-sync]")
}
