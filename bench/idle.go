//go:build linux

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// settle is how long after its start a Go program still gives memory back in small steps, which is a wake-up each.
const settle = 25 * time.Second

// idleCourier measures what a rescan costs that finds nothing: smapd with one each second beside another with none, for what the
// runtime itself does now and then. From that follows what ten minutes cost at the default of one a minute.
func (b *bench) idleCourier() error {
	busy, err := b.startIdle("idle", 1)
	if err != nil {
		return err
	}
	defer busy.stop() //nolint:errcheck // the measurement is over
	calm, err := b.startIdle("calm", 3600)
	if err != nil {
		return err
	}
	defer calm.stop() //nolint:errcheck // the measurement is over
	time.Sleep(settle)
	rescans := max(b.messages(60), 10)
	one, other := family(busy), family(calm)
	before, ran := switches(one)-switches(other), nanoseconds(one)-nanoseconds(other)
	time.Sleep(time.Duration(rescans) * time.Second)
	after, end := switches(one)-switches(other), nanoseconds(one)-nanoseconds(other)
	perRescan := float64(end-ran) / float64(rescans) / 1e6
	b.add(idleIs, "per rescan", "voluntary context switches", float64(after-before)/float64(rescans))
	b.add(idleIs, "per rescan", "ms of CPU", perRescan)
	b.add("idle smapd, ten minutes of wakeup 60", "10 rescans", "ms of CPU", 10*perRescan)
	return nil
}

func (b *bench) startIdle(name string, wakeup int) (*server, error) {
	dir, err := b.spool(name, b.uid)
	if err != nil {
		return nil, err
	}
	table, err := b.table("smapd: directory "+dir, "smapd: userid mail", "smapd: log stderr", "smapd: badadmin none",
		"smapd: agent exec /bin/true", fmt.Sprintf("smapd: wakeup %d", wakeup))
	if err != nil {
		return nil, err
	}
	s, err := b.start(filepath.Join(b.bin, "smapd"), "-c", table)
	time.Sleep(2 * time.Second) // the next table gets the name of this one
	return s, err
}

// family is a server and its children.
func family(s *server) []int {
	parent := s.cmd.Process.Pid
	return slices.DeleteFunc(findAll("smapd"), func(pid int) bool {
		if pid == parent {
			return false
		}
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		return err != nil || !strings.Contains(string(text), fmt.Sprintf("\nPPid:\t%d\n", parent))
	})
}

// switches are the voluntary context switches of all threads.
func switches(pids []int) (sum int) {
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
func nanoseconds(pids []int) (sum int64) {
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
