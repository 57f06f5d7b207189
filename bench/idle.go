//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// idleCourier measures what smapd costs when nothing happens: with a rescan each second, what ten minutes cost at the default of
// one a minute is counted in a sixth of the time.
func (b *bench) idleCourier() error {
	dir, err := b.spool("idle", b.uid)
	if err != nil {
		return err
	}
	table, err := b.table("smapd: directory "+dir, "smapd: userid mail", "smapd: log stderr", "smapd: badadmin none",
		"smapd: agent exec /bin/true", "smapd: wakeup 1")
	if err != nil {
		return err
	}
	s, err := b.start(filepath.Join(b.bin, "smapd"), "-c", table)
	if err != nil {
		return err
	}
	defer s.stop() //nolint:errcheck // the measurement is over
	time.Sleep(3 * time.Second)
	pids := findAll("smapd")
	rescans := max(b.messages(60)/10, 10)
	before, ran := b.switches(pids), b.nanoseconds(pids)
	time.Sleep(time.Duration(rescans) * time.Second)
	after, end := b.switches(pids), b.nanoseconds(pids)
	perRescan := float64(end-ran) / float64(rescans) / 1e6
	b.add("idle smapd, parent and child", "per rescan", "voluntary context switches", float64(after-before)/float64(rescans))
	b.add("idle smapd, parent and child", "per rescan", "ms of CPU", perRescan)
	b.add("idle smapd, ten minutes of wakeup 60", "10 rescans", "ms of CPU", 10*perRescan)
	return nil
}

// switches are the voluntary context switches of all threads.
func (b *bench) switches(pids []int) (sum int) {
	for _, text := range perThread(pids, "status") {
		for line := range strings.Lines(text) {
			if rest, ok := strings.CutPrefix(line, "voluntary_ctxt_switches:"); ok {
				n, _ := strconv.Atoi(strings.TrimSpace(rest))
				sum += n
			}
		}
	}
	return sum
}

// nanoseconds is the processor time of all threads.
func (b *bench) nanoseconds(pids []int) (sum int64) {
	for _, text := range perThread(pids, "schedstat") {
		first, _, _ := strings.Cut(text, " ")
		n, _ := strconv.ParseInt(first, 10, 64)
		sum += n
	}
	return sum
}

// perThread reads a file of /proc for every thread; what has ended meanwhile is left out.
func perThread(pids []int, file string) (texts []string) {
	for _, pid := range pids {
		paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/%s", pid, file))
		for _, path := range paths {
			if text, err := os.ReadFile(path); err == nil {
				texts = append(texts, string(text))
			}
		}
	}
	return texts
}
