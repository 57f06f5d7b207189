//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A share is a part of the processor time. A sample belongs to the first one that matches its process and one of the functions
// on its stack.
type share struct{ name, comm, stack, colour string }

const ours = `^smapd?$`

var shares = []share{
	{"client: smtp-source", `^smtp-source$`, "", "#bbb"},
	{"the server that mail goes to", `^bench$`, "", "#999"},
	{"kernel: disk and journal", `^(kworker|jbd2|loop)`, "", "#c63"},
	{"smap, smapd: syncs", ours, `sys_(syncfs|fsync|sync_file_range)`, "#b22"},
	{"smap, smapd: TCP", ours, `^(tcp_|sock_|inet_|__sys_accept|__tcp_|__x64_sys_(accept4|connect|sendto|recvfrom|shutdown))`, "#267"},
	{"smap, smapd: log lines", ours, `eventlog|log/slog`, "#8ac"},
	{"smap, smapd: files", ours, `sys_(openat|renameat2?|unlinkat|write|pwrite64|read|pread64|fchmod|flock|newfstatat|fstat|close|linkat|getdents64|fstatfs|ftruncate)`, "#d80"},
	{"smap, smapd: waits and wake-ups", ours, `sys_(futex|epoll|nanosleep)|^schedule$|^runtime\.(schedule|findRunnable|park_m|mcall|sysmon|netpoll|wakep)`, "#383"},
	{"smap, smapd: Go's memory", ours, `^runtime\.(mallocgc|gcBgMarkWorker|bgsweep|newobject|growslice|gcAssist)`, "#7b7"},
	{"smap, smapd: their own code", ours, "", "#555"},
}

// profile shows where the processors' time goes while mail passes from SMTP to SMTP: profile.svg.
func (b *bench) profile() error {
	if _, err := b.output("perf", "--version"); err != nil {
		b.lacks("perf, which shows where the time goes", &missingError{err})
		return nil
	}
	stripped := b.bin
	defer func() { b.bin = stripped }()
	b.bin = b.file("symbols")
	if _, err := b.output("go", "build", "-trimpath", "-o", b.bin+"/", "./cmd/smap", "./cmd/smapd"); err != nil {
		return err
	}
	for _, n := range []int{16, 64} {
		if err := b.profileAt(n); err != nil {
			return err
		}
	}
	return nil
}

// profileAt adds each share of the time that none of the machine's other programs took.
func (b *bench) profileAt(n int) error {
	out, err := newSink(false)
	if err != nil {
		return err
	}
	defer out.close()
	all, stop, err := b.chains(&chain{name: smapRelay, part: 1, done: func() (int64, error) { return out.count(), nil }, start: func() (*server, error) {
		return b.ourChain("profile", "smtp "+out.address()+" tls none")
	}})
	if err != nil {
		stop()
		return err
	}
	data, pids := b.file("perf.data"), descendants(all[0].pids())
	perf, err := b.start("perf", "record", "-q", "-a", "-g", "-F", "499", "-o", data)
	if err == nil {
		err = errors.Join(b.through(all[0], n, b.messages(10_000)), perf.stop())
	}
	stop() // perf finds the functions of a process in a chroot only when that has ended
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(b.ctx, "perf", "script", "-i", data, "-F", "comm,pid,ip,sym")
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	count := tally(pipe, pids)
	if err := cmd.Wait(); err != nil {
		return fmt.Errorf("perf script: %w", err)
	}
	sum := 0
	for _, n := range count {
		sum += n
	}
	for i, s := range shares {
		b.add(s.name, fmt.Sprint(n), "% of the processor time", 100*float64(count[i])/float64(max(sum, 1)))
	}
	return nil
}

// tally counts the samples of each share. A sample is a line with the name and the id of the process, then a line for each
// function, then an empty line. Other processes that have the name of ours do not count.
func tally(in io.Reader, pids []int) []int {
	count := make([]int, len(shares))
	comms, stacks := make([]*regexp.Regexp, len(shares)), make([]*regexp.Regexp, len(shares))
	for i, s := range shares {
		comms[i], stacks[i] = regexp.MustCompile(s.comm), regexp.MustCompile(s.stack)
	}
	isOurs := regexp.MustCompile(ours)
	comm, stack := "", []string(nil)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		switch line := strings.TrimSpace(lines.Text()); {
		case line == "":
			for i := range shares {
				if comms[i].MatchString(comm) && (shares[i].stack == "" || slices.ContainsFunc(stack, stacks[i].MatchString)) {
					count[i]++
					break
				}
			}
			comm, stack = "", nil
		case comm == "":
			fields := strings.Fields(line)
			comm = fields[0]
			pid, err := strconv.Atoi(fields[len(fields)-1])
			if isOurs.MatchString(comm) && (err != nil || !slices.Contains(pids, pid)) {
				comm = "another " + comm
			}
		default:
			_, function, _ := strings.Cut(line, " ")
			stack = append(stack, function)
		}
	}
	return count
}

// writeProfile draws a bar for each number of sessions.
func (b *bench) writeProfile(dir string) error {
	if _, ok := b.value(shares[0].name, "64"); !ok {
		return nil
	}
	var w strings.Builder
	fmt.Fprint(&w, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 760 330\" font-family=\"sans-serif\" font-size=\"12\">\n"+
		"<rect width=\"760\" height=\"330\" fill=\"#fff\"/>\n<text x=\"90\" y=\"24\" font-size=\"14\">processor time of mail from SMTP to SMTP, in percent</text>\n")
	for row, n := range []string{"16", "64"} {
		x := 90.0
		fmt.Fprintf(&w, "<text x=\"84\" y=\"%d\" text-anchor=\"end\">%s sessions</text>\n", 62+40*row, n)
		for _, s := range shares {
			v, _ := b.value(s.name, n)
			fmt.Fprintf(&w, "<rect x=\"%.1f\" y=\"%d\" width=\"%.1f\" height=\"30\" fill=\"%s\"/>\n", x, 42+40*row, v*6.4, s.colour)
			if v >= 4 {
				fmt.Fprintf(&w, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\" fill=\"#fff\" font-size=\"11\">%.0f</text>\n", x+v*3.2, 62+40*row, v)
			}
			x += v * 6.4
		}
	}
	for i, s := range shares {
		fmt.Fprintf(&w, "<rect x=\"%d\" y=\"%d\" width=\"12\" height=\"12\" fill=\"%s\"/><text x=\"%d\" y=\"%d\">%s</text>\n",
			90+320*(i/5), 150+26*(i%5), s.colour, 108+320*(i/5), 160+26*(i%5), s.name)
	}
	fmt.Fprintln(&w, "</svg>")
	return os.WriteFile(filepath.Join(dir, "profile.svg"), []byte(w.String()), 0o644)
}
