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

// A reaction is something that starts an agent for each message.
type reaction struct {
	name   string
	start  func(dir string) (*server, error)
	commit func(dir, id string) (int64, error)
	dir    string
	all    []float64 // from the commit to the agent's first instruction, in ms
}

// latency measures from the commit of one message to the first instruction of the agent: of messages that come alone, and
// under load. Those that are compared take turns, since a machine is faster in one minute than in the next.
func (b *bench) latency() error {
	fifo, err := b.fifo()
	if err != nil {
		return err
	}
	defer fifo.Close()
	err = b.react(fifo, b.messages(1000), b.alone,
		&reaction{name: "C floor: inotify, vfork, exec", start: b.watcher, commit: commitPair},
		&reaction{name: "smapd, agent exec", start: b.courier, commit: commitPair},
		&reaction{name: "smapd, agent exec, .mail drop", start: b.courier, commit: commitMail})
	if err != nil {
		return err
	}
	return b.react(fifo, b.messages(2000), b.underLoad,
		&reaction{name: "C floor, 200 messages/s", start: b.watcher, commit: commitPair},
		&reaction{name: "smapd, agent exec, 200 messages/s", start: b.courier, commit: commitPair})
}

// turnOf is how many messages each has before it is the next one's turn.
const turnOf = 100

// react starts all, gives each the same number of messages, and adds the distributions.
func (b *bench) react(fifo *os.File, count int, measure func(r *reaction, fifo *os.File, from, to int) error, all ...*reaction) error {
	for i, r := range all {
		var err error
		if r.dir, err = b.spool(fmt.Sprintf("latency-%d", i), b.uid); err != nil {
			return err
		}
		s, err := r.start(r.dir)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		defer s.stop() //nolint:errcheck // the measurement is over
	}
	time.Sleep(time.Second)
	for from := 0; from < count; from += turnOf {
		for _, r := range all {
			if err := errors.Join(b.ctx.Err(), measure(r, fifo, from, min(from+turnOf, count))); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
		}
	}
	for _, r := range all {
		b.distribution(r.name, r.all)
	}
	return nil
}

// alone commits a message only when the one before has reached the agent.
func (b *bench) alone(r *reaction, fifo *os.File, from, to int) error {
	for i := from; i < to; i++ {
		before, err := r.commit(r.dir, fmt.Sprintf("latency-%d", i))
		if err != nil {
			return err
		}
		after, _, err := stamp(fifo)
		if err != nil {
			return fmt.Errorf("message %d: %w", i, err)
		}
		r.all = append(r.all, float64(after-before)/1e6)
		// Idle again, and not in step with anything that ticks.
		time.Sleep(time.Duration(5+i%7) * time.Millisecond)
	}
	return nil
}

// underLoad commits a message every 5 ms, whether the one before has reached the agent or not. Messages of that kind reach it
// in their order as a rule; where not, the two exchange their times.
func (b *bench) underLoad(r *reaction, fifo *os.File, from, to int) error {
	before := make(chan int64, turnOf)
	failed := make(chan error, 1)
	go func() {
		defer close(before)
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := from; i < to; i++ {
			<-tick.C
			at, err := r.commit(r.dir, fmt.Sprintf("load-%d", i))
			if err != nil {
				failed <- err
				return
			}
			before <- at
		}
	}()
	for range to - from {
		after, _, err := stamp(fifo)
		if err != nil {
			return err
		}
		at, ok := <-before
		if !ok {
			return <-failed
		}
		r.all = append(r.all, float64(after-at)/1e6)
	}
	return nil
}

// stamp waits for an agent, and gives the time of its first instruction, and the number of its message if it was told one.
func stamp(fifo *os.File) (at, number int64, err error) {
	if err := fifo.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return 0, 0, err
	}
	var report [16]byte
	if _, err := fifo.Read(report[:]); err != nil {
		return 0, 0, fmt.Errorf("the agent did not report: %w", err)
	}
	return int64(binary.NativeEndian.Uint64(report[:])), int64(binary.NativeEndian.Uint64(report[8:])), nil
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
	if err := unix.Mkfifo(path, 0o666); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, err
	}
	if err := os.Chmod(path, 0o666); err != nil {
		return nil, err
	}
	return os.OpenFile(path, os.O_RDWR|unix.O_NONBLOCK, 0)
}

func (b *bench) watcher(dir string) (*server, error) {
	return b.start(b.file("watch"), filepath.Join(dir, "new"), b.file("stamp"))
}

func (b *bench) courier(dir string) (*server, error) {
	table, err := b.table("smapd: directory "+dir, "smapd: userid mail", "smapd: log stderr",
		"smapd: agent exec "+b.file("stamp"))
	if err != nil {
		return nil, err
	}
	return b.start(filepath.Join(b.bin, "smapd"), "-c", table)
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
