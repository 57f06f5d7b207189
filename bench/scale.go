//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// scale measures what messages that wait cost those that do not: deferred ones in cur/, with new mail going through,
// the memory of smapd beside them, and smapq list of them.
func (b *bench) scale() error {
	for _, waiting := range []int{1000, b.messages(1_000_000)} {
		if err := b.beside(waiting); err != nil {
			return fmt.Errorf("%d waiting: %w", waiting, err)
		}
	}
	return nil
}

func (b *bench) beside(waiting int) error {
	dir, err := b.spool("scale", b.uid)
	if err != nil {
		return err
	}
	next := time.Now().Add(time.Hour)
	for i := range waiting {
		if err := feed(dir, "cur", fmt.Sprintf("waiting-%07d", i), b.uid, next); err != nil {
			return err
		}
	}
	table, err := b.table("smapd: directory "+dir, "smapd: userid mail", "smapd: log stderr", "smapd: badadmin none",
		"smapd: agent exec /bin/true")
	if err != nil {
		return err
	}
	if _, err := b.output("sync"); err != nil {
		return err
	}
	name, column := "smapd beside messages that wait", fmt.Sprint(waiting)
	if err := b.list(dir, column); err != nil {
		return err
	}
	fresh := func(count int) (time.Duration, error) {
		began := time.Now()
		for i := range count {
			if err := feedNew(dir, fmt.Sprintf("fresh-%d-%d", began.UnixNano(), i), b.uid); err != nil {
				return 0, err
			}
		}
		for {
			n, err := files(filepath.Join(dir, "new"), ".envelope")
			if err != nil || n == 0 {
				return time.Since(began), err
			}
			if time.Since(began) > 5*time.Minute {
				return 0, fmt.Errorf("%d messages are still in new/", n)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	began := time.Now()
	s, err := b.start(filepath.Join(b.bin, "smapd"), "-c", table)
	if err != nil {
		return err
	}
	defer s.stop() //nolint:errcheck // the measurement is over
	if _, err := fresh(1); err != nil {
		return err
	}
	b.add(name+": start to first delivery", column, "ms", float64(time.Since(began).Milliseconds()))
	if err := b.settled(s); err != nil {
		return err
	}
	const count = 2000
	err = b.turns("messages/s", trial{name + ": new mail", column, func() (float64, error) {
		took, err := fresh(b.messages(count))
		return float64(b.messages(count)) / took.Seconds(), err
	}})
	if err != nil {
		return err
	}
	rss, err := b.largest("smapd", "VmHWM")
	b.add(name+": peak memory", column, "KiB", float64(rss))
	return err
}

// list measures smapq list, whose output goes nowhere.
func (b *bench) list(dir, column string) error {
	cmd := exec.CommandContext(b.ctx, filepath.Join(b.bin, "smapq"), "-d", dir, "list")
	cmd.Stderr = os.Stderr
	began := time.Now()
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("smapq list: %w", err)
	}
	b.add(listIs, column+" s", "elapsed, and peak memory", time.Since(began).Seconds())
	if used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		b.add(listIs, column+" KiB", "elapsed, and peak memory", float64(used.Maxrss))
	}
	return nil
}

// feedNew commits a message: the content first.
func feedNew(dir, id string, uid int) error {
	if err := feed(dir, "tmp", id, uid, time.Time{}); err != nil {
		return err
	}
	for _, suffix := range []string{".eml", ".envelope"} {
		if err := move(filepath.Join(dir, "tmp", id+suffix), filepath.Join(dir, "new", id+suffix)); err != nil {
			return err
		}
	}
	return nil
}

// settled waits until a server and its children use no processor time any more.
func (b *bench) settled(s *server) error {
	last := -1
	for range 600 {
		if err := b.ctx.Err(); err != nil {
			return err
		}
		now := 0
		for _, pid := range findAll("smapd") {
			now += ticks(pid)
		}
		if now == last {
			return nil
		}
		last = now
		time.Sleep(500 * time.Millisecond)
	}
	return fmt.Errorf("process %d does not come to rest", s.cmd.Process.Pid)
}
