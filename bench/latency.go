//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// latency measures from the commit of one message, alone, to the first instruction of the agent.
func (b *bench) latency() error {
	fifo, err := b.fifo()
	if err != nil {
		return err
	}
	defer fifo.Close()
	for _, m := range []struct {
		name   string
		start  func(dir string) (*server, error)
		commit func(dir, id string) (int64, error)
	}{
		{"C floor: inotify, vfork, exec", b.watcher, commitPair},
		{"smapd, agent exec", b.courier, commitPair},
		{"smapd, agent exec, .mail drop", b.courier, commitMail},
	} {
		if err := b.reaction(m.name, fifo, m.start, m.commit); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	if err := b.underLoad("C floor, 200 messages/s", fifo, b.watcher); err != nil {
		return err
	}
	return b.underLoad("smapd, agent exec, 200 messages/s", fifo, b.courier)
}

// underLoad commits a message every 5 ms, whether the one before has reached the agent or not. Messages of that kind reach it
// in their order as a rule; where not, the two exchange their times.
func (b *bench) underLoad(name string, fifo *os.File, start func(string) (*server, error)) error {
	dir, err := b.spool("latency", b.uid)
	if err != nil {
		return err
	}
	s, err := start(dir)
	if err != nil {
		return err
	}
	defer s.stop() //nolint:errcheck // the measurement is over
	const count = 2000
	before := make(chan int64, count)
	failed := make(chan error, 1)
	go func() {
		defer close(before)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := range b.messages(count) {
			<-tick.C
			at, err := commitPair(dir, fmt.Sprintf("load-%d", i))
			if err != nil {
				failed <- err
				return
			}
			before <- at
		}
	}()
	var all []float64
	for range b.messages(count) {
		if err := fifo.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		var after [8]byte
		if _, err := fifo.Read(after[:]); err != nil {
			return fmt.Errorf("the agent did not report: %w", err)
		}
		at, ok := <-before
		if !ok {
			return <-failed
		}
		all = append(all, float64(int64(binary.NativeEndian.Uint64(after[:]))-at)/1e6)
	}
	b.distribution(name, all)
	return nil
}

// distribution adds a latency's percentiles.
func (b *bench) distribution(name string, all []float64) {
	slices.Sort(all)
	for _, p := range percentiles {
		var n int
		if _, err := fmt.Sscanf(p, "p%d", &n); err == nil {
			b.add(name, p, "ms", all[len(all)*n/100])
		}
	}
	b.add(name, "max", "ms", all[len(all)-1])
}

// fifo is where the agent reports; it is kept open for writing too, so that reading it never ends.
func (b *bench) fifo() (*os.File, error) {
	path := b.file("fifo")
	if err := unix.Mkfifo(path, 0o666); err != nil {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
}

func (b *bench) watcher(dir string) (*server, error) {
	s, err := b.start(b.file("watch"), filepath.Join(dir, "new"), b.file("stamp"))
	time.Sleep(200 * time.Millisecond)
	return s, err
}

func (b *bench) courier(dir string) (*server, error) {
	table, err := b.table("smapd: directory "+dir, "smapd: userid mail", "smapd: log stderr",
		"smapd: agent exec "+b.file("stamp"))
	if err != nil {
		return nil, err
	}
	s, err := b.start(filepath.Join(b.bin, "smapd"), "-c", table)
	time.Sleep(time.Second)
	return s, err
}

func (b *bench) reaction(name string, fifo *os.File, start func(string) (*server, error),
	commit func(dir, id string) (int64, error)) error {
	dir, err := b.spool("latency", b.uid)
	if err != nil {
		return err
	}
	s, err := start(dir)
	if err != nil {
		return err
	}
	defer s.stop() //nolint:errcheck // the measurement is over
	var all []float64
	for i := range b.messages(1000) {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		before, err := commit(dir, fmt.Sprintf("latency-%d", i))
		if err != nil {
			return err
		}
		if err := fifo.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			return err
		}
		var after [8]byte
		if _, err := fifo.Read(after[:]); err != nil {
			return fmt.Errorf("the agent did not report message %d: %w", i, err)
		}
		all = append(all, float64(int64(binary.NativeEndian.Uint64(after[:]))-before)/1e6)
		// Idle again, and not in step with anything that ticks.
		time.Sleep(time.Duration(5+i%7) * time.Millisecond)
	}
	b.distribution(name, all)
	return nil
}

const benchContent = "From: a@client.test\nTo: b@bench.test\nSubject: x\n\nbody\n"

// commitPair feeds a message of two files and gives the time just before the move that commits it.
func commitPair(dir, id string) (int64, error) {
	content, envelope := filepath.Join(dir, "tmp", id+".eml"), filepath.Join(dir, "tmp", id+".envelope")
	head := fmt.Sprintf("Spool-Format: 1\nSender: <a@client.test>\nRecipient: <b@bench.test>\nSize: %d\n\n", len(benchContent))
	err := errors.Join(durable(content, benchContent), durable(envelope, head))
	if err != nil {
		return 0, err
	}
	if err := move(content, filepath.Join(dir, "new", id+".eml")); err != nil {
		return 0, err
	}
	before := clock()
	return before, move(envelope, filepath.Join(dir, "new", id+".envelope"))
}

// commitMail drops a single file.
func commitMail(dir, id string) (int64, error) {
	file := filepath.Join(dir, "tmp", id)
	if err := durable(file, benchContent); err != nil {
		return 0, err
	}
	before := clock()
	return before, move(file, filepath.Join(dir, "new", id+".mail"))
}

// durable writes a file that belongs to the directory's owner.
func durable(path, text string) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o640)
	if err != nil {
		return err
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return errors.Join(err, f.Close())
	}
	owner := int(dir.Sys().(*syscall.Stat_t).Uid)
	_, err = f.WriteString(text)
	return errors.Join(err, f.Chown(owner, -1), f.Sync(), f.Close())
}

func move(from, to string) error {
	return unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
}

func clock() int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &t); err != nil {
		return 0
	}
	return t.Nano()
}
