//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// memory measures what waits: one session, the process of a client that is to say its next command; one session more in
// smap -listen; and smapd.
func (b *bench) memory() error {
	dir, err := b.spool("memory", b.uid)
	if err != nil {
		return err
	}
	if err := b.moreSessions(dir); err != nil {
		return err
	}
	if err := b.idleMemory(dir); err != nil {
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
	conn, err := s.greet()
	if err != nil {
		return err
	}
	defer conn.Close()
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

// greet connects and says HELO.
func (s *server) greet() (net.Conn, error) {
	conn, err := net.DialTimeout("tcp", fmt.Sprintf("127.0.0.1:%d", s.port), 5*time.Second)
	if err != nil {
		return nil, err
	}
	in := bufio.NewReader(conn)
	_, err = in.ReadString('\n')
	if err == nil {
		_, err = conn.Write([]byte("HELO client.test\r\n"))
	}
	if err == nil {
		_, err = in.ReadString('\n')
	}
	if err != nil {
		conn.Close()
	}
	return conn, err
}

// moreSessions measures what each session more takes in smap -listen, beside those that are there.
func (b *bench) moreSessions(dir string) error {
	s, err := b.listen(dir)
	if err != nil {
		return err
	}
	defer s.stop() //nolint:errcheck // the measurement is over
	pids := s.family()
	const step = 300
	var rss [3]float64
	for i := range rss {
		for range step {
			conn, err := s.greet()
			if err != nil {
				return err
			}
			defer conn.Close()
		}
		time.Sleep(500 * time.Millisecond)
		if rss[i], err = rollup(pids[len(pids)-1], "Rss"); err != nil {
			return err
		}
	}
	b.add("one session more, smap -listen", "rss", "KiB", (rss[2]-rss[0])/(2*step))
	return nil
}

// idleMemory measures smapd, the parent and the child that does the work.
func (b *bench) idleMemory(dir string) error {
	table, err := b.table("smapd: directory "+dir, "smapd: userid mail", "smapd: log stderr", "smapd: badadmin none", "smapd: agent exec /bin/true")
	if err != nil {
		return err
	}
	s, err := b.start(filepath.Join(b.bin, "smapd"), "-c", table)
	if err != nil {
		return err
	}
	defer s.stop() //nolint:errcheck // the measurement is over
	time.Sleep(3 * time.Second)
	for _, key := range []string{"Rss", "Pss", "Private_Dirty"} {
		sum := 0.0
		for _, pid := range s.family() {
			kib, err := rollup(pid, key)
			if err != nil {
				return err
			}
			sum += kib
		}
		b.add(idleIs, strings.ToLower(key), "KiB", sum)
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

// family are a server's processes: the one that was started, and its children.
func (s *server) family() []int { return descendants(s.pids()) }

// descendants are processes with all that they started, the oldest of each generation first.
func descendants(pids []int) []int {
	for i := 0; i < len(pids); i++ {
		paths, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pids[i])) // the pattern is a good one
		for _, path := range paths {
			text, err := os.ReadFile(path)
			if err != nil {
				continue // the thread has ended
			}
			for field := range strings.FieldsSeq(string(text)) {
				if pid, err := strconv.Atoi(field); err == nil {
					pids = append(pids, pid)
				}
			}
		}
	}
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
