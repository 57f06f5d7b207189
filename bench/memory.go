//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
)

// memory measures one idle session: the process that waits for its client's next command.
func (b *bench) memory() error {
	dir, err := b.spool("memory", b.uid)
	if err != nil {
		return err
	}
	for _, m := range []struct {
		name, program string
		start         func() (*server, error)
	}{
		{"one idle session, Postfix smtpd", "smtpd", b.postfix},
		{"one idle session, smap under inetd", "smap", func() (*server, error) { return b.inetd(dir) }},
	} {
		if err := b.idle(m.name, m.program, m.start); err != nil {
			return fmt.Errorf("%s: %w", m.name, err)
		}
	}
	return nil
}

func (b *bench) idle(name, program string, start func() (*server, error)) error {
	s, err := start()
	if err != nil {
		return err
	}
	defer s.stop() //nolint:errcheck // the measurement is over
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.port), 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	in := bufio.NewReader(conn)
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	if _, err := conn.Write([]byte("HELO client.test\r\n")); err != nil {
		return err
	}
	if _, err := in.ReadString('\n'); err != nil {
		return err
	}
	time.Sleep(500 * time.Millisecond)
	pids := findAll(program)
	if len(pids) == 0 {
		return errors.New("no process " + program)
	}
	// The youngest one serves this session.
	for _, key := range []string{"Rss", "Pss", "Private_Dirty"} {
		kib, err := rollup(pids[len(pids)-1], key)
		if err != nil {
			return err
		}
		b.add(name, strings.ToLower(key), "KiB", kib)
	}
	return nil
}

// findAll gives the processes of that name, the oldest first.
func findAll(name string) (pids []int) {
	dirs, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	for _, d := range dirs {
		pid, err := strconv.Atoi(d.Name())
		if err != nil {
			continue
		}
		comm, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", pid))
		if err == nil && strings.TrimSpace(string(comm)) == name {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}

// rollup is one value, in KiB, of all the mappings of a process.
func rollup(pid int, key string) (float64, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, key+":"); ok {
			return strconv.ParseFloat(strings.Fields(rest)[0], 64)
		}
	}
	return 0, errors.New("no " + key)
}

// ticks is the processor time of a process, in the system's units.
func ticks(pid int) int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0 // gone
	}
	_, rest, _ := strings.Cut(string(text), ") ")
	fields := strings.Fields(rest)
	sum := 0
	for _, i := range []int{11, 12} { // utime, stime
		if i < len(fields) {
			n, _ := strconv.Atoi(fields[i])
			sum += n
		}
	}
	return sum
}

// largest is the largest value, in KiB, that a key of /proc/PID/status has for any process of that name.
func (b *bench) largest(name, key string) (most int, err error) {
	for _, pid := range findAll(name) {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			return 0, err
		}
		for line := range strings.Lines(string(text)) {
			if rest, ok := strings.CutPrefix(line, key+":"); ok {
				n, err := strconv.Atoi(strings.Fields(rest)[0])
				if err != nil {
					return 0, err
				}
				most = max(most, n)
			}
		}
	}
	return most, nil
}
