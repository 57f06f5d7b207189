//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// disks are the file systems that smap is measured on, each with how to make one.
var disks = []struct {
	name string
	mkfs []string
}{
	{"ext4", []string{"mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0"}},
	{"ext4 with fast_commit", []string{"mkfs.ext4", "-q", "-F", "-O", "fast_commit", "-E", "lazy_itable_init=0,lazy_journal_init=0"}},
	{"ext4 without a journal", []string{"mkfs.ext4", "-q", "-F", "-O", "^has_journal", "-E", "lazy_itable_init=0"}},
	{"XFS", []string{"mkfs.xfs", "-q", "-f"}},
	{"btrfs", []string{"mkfs.btrfs", "-q", "-f"}},
	{"tmpfs, which makes nothing durable", nil},
}

// journal measures smap -listen on several file systems, for the journal's share of a message's time.
func (b *bench) journal() error {
	var peers []peer
	for i, d := range disks {
		dir := b.file(fmt.Sprintf("disk-%d", i))
		if err := b.mountOn(dir, d.mkfs); err != nil {
			b.lacks("smap on "+d.name, &missingError{err})
			continue
		}
		top := filepath.Join(dir, "spool")
		peers = append(peers, peer{
			name: "smap -listen on " + d.name,
			start: func() (*server, error) {
				return b.listen(top)
			},
			held: func() (int, error) { return files(filepath.Join(top, "new"), ".envelope") },
			empty: func() error {
				return errors.Join(clear(filepath.Join(top, "tmp")), clear(filepath.Join(top, "new")))
			},
		})
		if err := b.boxes(top, b.uid); err != nil {
			return err
		}
	}
	ports, stop, err := b.startAll(peers)
	defer stop()
	if err != nil {
		return err
	}
	for _, n := range sessions {
		var trials []trial
		for i, p := range peers {
			trials = append(trials, trial{p.name + perMessage, fmt.Sprint(n), func() (float64, error) { return b.source(p, ports[i], n, "-c") }})
		}
		if err := b.turns("messages/s", trials...); err != nil {
			return err
		}
	}
	return nil
}

// mountOn makes a file system in a file and mounts it.
func (b *bench) mountOn(dir string, mkfs []string) error {
	if err := os.Mkdir(dir, 0o755); err != nil {
		return err
	}
	mount := []string{"-t", "tmpfs", "tmpfs", dir}
	if mkfs != nil {
		image := dir + ".img"
		err := errors.Join(os.WriteFile(image, nil, 0o600), os.Truncate(image, 2<<30))
		if err != nil {
			return err
		}
		if _, err := b.output(mkfs[0], append(mkfs[1:len(mkfs):len(mkfs)], image)...); err != nil {
			return err
		}
		mount = []string{"-o", "loop", image, dir}
	}
	if _, err := b.output("mount", mount...); err != nil {
		return err
	}
	b.undo = append(b.undo, func() error { return umount(dir) })
	return nil
}
