//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync/atomic"
)

const (
	smapMaildir    = "smap and smapd, agent maildir"
	postfixLocal   = "Postfix, local, to a Maildir"
	postfixVirtual = "Postfix, virtual, to a Maildir"
	smapProgram    = "smap and smapd, agent exec"
	postfixPipe    = "Postfix, pipe"
)

// maildir measures mail that comes by SMTP and goes into a Maildir on the same disk.
func (b *bench) maildir() error {
	home := func(name string) string { return filepath.Join(b.disk, name) }
	delivered := func(dir string) func() (int64, error) {
		return func() (int64, error) {
			n, err := names(filepath.Join(dir, "new"))
			if errors.Is(err, os.ErrNotExist) {
				return 0, nil
			}
			return int64(n), err
		}
	}
	for _, name := range []string{"maildir-smapd", "maildir-local", "maildir-virtual"} {
		if err := errors.Join(os.MkdirAll(home(name), 0o700), os.Chown(home(name), b.uid, 8)); err != nil {
			return err
		}
	}
	each := fmt.Sprint(concurrency)
	all, stop, err := b.chains(
		&chain{name: smapMaildir, part: 1, done: delivered(home("maildir-smapd/mail")), start: func() (*server, error) {
			return b.ourChain("maildir", "maildir "+home("maildir-smapd/mail"))
		}},
		&chain{name: postfixLocal, part: 1, done: delivered(home("maildir-local/mail")), start: func() (*server, error) {
			return b.postfixWith("postfix-local", "", "mydestination = bench.test", "mail_spool_directory = "+home("maildir-local")+"/",
				"local_destination_concurrency_limit = "+each)
		}},
		&chain{name: postfixVirtual, part: 1, done: delivered(home("maildir-virtual/mail")), start: func() (*server, error) {
			return b.postfixWith("postfix-virtual", "", "mydestination =", "virtual_mailbox_domains = bench.test",
				"virtual_mailbox_base = "+home("maildir-virtual"), "virtual_mailbox_maps = static:mail/",
				"virtual_minimum_uid = 1", fmt.Sprintf("virtual_uid_maps = static:%d", b.uid), "virtual_gid_maps = static:8", "virtual_destination_concurrency_limit = "+each)
		}},
	)
	defer stop()
	if err != nil {
		return err
	}
	return b.rates(all)
}

// program measures mail that comes by SMTP and starts a program for each message.
func (b *bench) program() error {
	fifo, err := b.fifo()
	if err != nil {
		return err
	}
	defer fifo.Close()
	var started atomic.Int64
	go func() {
		report := make([]byte, 16)
		for {
			if _, err := fifo.Read(report); err != nil {
				return
			}
			started.Add(1)
		}
	}()
	done := func() (int64, error) { return started.Load(), nil }
	all, stop, err := b.chains(b.programs(done)...)
	defer stop()
	if err != nil {
		return err
	}
	return b.rates(all)
}

// programs are the servers that start a program for each message.
func (b *bench) programs(done func() (int64, error)) []*chain {
	return []*chain{
		{name: smapProgram, part: 1, done: done, start: func() (*server, error) {
			return b.ourChain("program", "exec "+b.file("stamp")+" {sender}")
		}},
		{name: postfixPipe, part: 1, done: done, start: func() (*server, error) {
			service := fmt.Sprintf("program unix - n n - %d pipe flags= user=mail argv=%s ${sender}\n", concurrency, b.file("stamp"))
			return b.postfixWith("postfix-pipe", service, "mydestination =", "relay_domains = bench.test", "relay_transport = program:",
				fmt.Sprintf("program_destination_concurrency_limit = %d", concurrency))
		}},
	}
}

// names counts the names in a directory.
func names(dir string) (int, error) {
	d, err := os.Open(dir)
	if err != nil {
		return 0, err
	}
	defer d.Close()
	all, err := d.Readdirnames(-1)
	return len(all), err
}
