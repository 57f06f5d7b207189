//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// A target is a ratio between two results of one run, or a result.
type target struct {
	what         string
	group, name  string
	over, column string  // none: the result itself
	least        float64 // the quotient should be at least this; below 0: at most its amount
}

const (
	perMessage = ", connection per message"
	perMany    = ", many messages per connection"
	postfixIs  = "Postfix smtpd, held"
	pairFloor  = "raw: two files, fsync each, two renames, directory fsync"
	goFloor    = "floor: Go program under inetd"
	eximIs     = "Exim -bs under inetd"
	idleIs     = "idle smapd, parent and child"
	besideIs   = "smapd beside messages that wait: new mail"
	listIs     = "smapq list"
	fromDot    = ", from the last dot"
)

// targets are what the project has set itself, each against a peer or a floor of the same run.
var targets = []target{
	{"connection per message, 1 session, over Postfix", "smap -listen" + perMessage, "1", postfixIs + perMessage, "1", 1.4},
	{"the same, 16 sessions", "smap -listen" + perMessage, "16", postfixIs + perMessage, "16", 2},
	{"the same, 64 sessions", "smap -listen" + perMessage, "64", postfixIs + perMessage, "64", 3},
	{"many messages per connection, 1, over Postfix", "smap -listen" + perMany, "1", postfixIs + perMany, "1", 1.5},
	{"the same, 16", "smap -listen" + perMany, "16", postfixIs + perMany, "16", 2.2},
	{"the same, 64", "smap -listen" + perMany, "64", postfixIs + perMany, "64", 3},
	{"SMTP to SMTP, 1 session, over Postfix", smapRelay, "1", postfixRelay, "1", 1.3},
	{"the same, 16", smapRelay, "16", postfixRelay, "16", 2.5},
	{"the same, 64", smapRelay, "64", postfixRelay, "64", 3},
	{"SMTP to a Maildir, 1 session, over Postfix local", smapMaildir, "1", postfixLocal, "1", 2},
	{"the same, 16", smapMaildir, "16", postfixLocal, "16", 2},
	{"the same, 64", smapMaildir, "64", postfixLocal, "64", 2},
	{"the same, 64, over Postfix virtual", smapMaildir, "64", postfixVirtual, "64", 2},
	{"SMTP to a program for each message, 1 session, over Postfix pipe", smapProgram, "1", postfixPipe, "1", 1.5},
	{"the same, 16", smapProgram, "16", postfixPipe, "16", 1.5},
	{"the same, 64", smapProgram, "64", postfixPipe, "64", 1.5},
	{"last dot to the program's first instruction, 200 messages/s, p50, over Postfix pipe", smapProgram + fromDot, "p50", postfixPipe + fromDot, "p50", -0.5},
	{"the same, p99", smapProgram + fromDot, "p99", postfixPipe + fromDot, "p99", -0.5},
	{"inetd: connect, 220, QUIT, 16 clients, over a Go program that only answers", "smap under inetd: connect, 220, QUIT", "16", goFloor + ": connect, 220, QUIT", "16", 0.8},
	{"inetd: one durable message, 16 clients, over one that stores the same", "smap under inetd: one durable message", "16", goFloor + ": one durable message", "16", 0.8},
	{"inetd: connect, 220, QUIT, 64 clients, over Exim -bs", "smap under inetd: connect, 220, QUIT", "64", eximIs + ": connect, 220, QUIT", "64", 1.7},
	{"inetd: one durable message, 64 clients, over Exim -bs", "smap under inetd: one durable message", "64", eximIs + ": one durable message", "64", 1.7},
	{"latency, p50, over the C floor", "smapd, agent exec", "p50", "C floor: inotify, vfork, exec", "p50", -1.5},
	{"latency, p99", "smapd, agent exec", "p99", "C floor: inotify, vfork, exec", "p99", -3},
	{"latency of a .mail drop, p50", "smapd, agent exec, .mail drop", "p50", "C floor: inotify, vfork, exec", "p50", -1.5},
	{"latency of a .mail drop, p99", "smapd, agent exec, .mail drop", "p99", "C floor: inotify, vfork, exec", "p99", -3},
	{"latency under 200 messages/s, p50", "smapd, agent exec, 200 messages/s", "p50", "C floor, 200 messages/s", "p50", -1.5},
	{"latency under 200 messages/s, p99", "smapd, agent exec, 200 messages/s", "p99", "C floor, 200 messages/s", "p99", -3},
	{"draining: maildir over one durable file each", "smapd, agent maildir", "6", "raw: one file, fsync, rename, directory fsync", "6", 0.5},
	{"cost of a message beside 1,000,000 that wait, over 1,000", besideIs, "1000", besideIs, "1000000", -1.3},
	{"draining: lmtp agent, messages/s", "smapd, agent lmtp", "6", "", "", 1500},
	{"draining: smtp agent, messages/s", "smapd, agent smtp", "6", "", "", 1500},
	{"smapd beside 1,000,000 that wait, peak memory, KiB", "smapd beside messages that wait: peak memory", "1000000", "", "", -20 << 10},
	{"smapq list of 1,000,000 messages, s", listIs, "1000000 s", "", "", -5},
	{"the same, peak memory, KiB", listIs, "1000000 KiB", "", "", -65536},
	{"one idle session under inetd, resident, KiB", "one idle session, smap under inetd", "rss", "", "", -8192},
	{"the same, private and dirty, KiB", "one idle session, smap under inetd", "private_dirty", "", "", -1331},
	{"one session more in -listen, resident, KiB", "one session more, smap -listen", "rss", "", "", -16},
	{"idle smapd, parent and child, resident, KiB", idleIs, "rss", "", "", -13 << 10},
	{"1 GiB message over writing a file with fsync", "smap -listen, DATA", "1024 MiB", "floor: write to a file, fsync", "1024 MiB", 0.5},
}

func (b *bench) value(group, name string) (float64, bool) {
	for _, r := range b.results {
		if r.Group == group && r.Name == name {
			return r.Value, true
		}
	}
	return 0, false
}

// report writes RESULT.md and its plots.
func (b *bench) report(dir, command string) error {
	var w strings.Builder
	fmt.Fprintf(&w, "# Measured\n\n`%s`, on %s. %s.\n", command, time.Now().UTC().Format("2006-01-02"), b.machine())
	fmt.Fprintf(&w, "Machines are noisy: what counts are the ratios, each within one run (medians of %d).\n", b.runs)
	fmt.Fprint(&w, "\n| target | ratio, or what was measured | wanted | |\n| --- | --- | --- | --- |\n")
	for _, t := range targets {
		ours, ok := b.value(t.group, t.name)
		floor, there := b.value(t.over, t.column)
		if t.over == "" {
			floor, there = 1, true
		}
		if !ok || !there || floor == 0 {
			continue
		}
		ratio, wanted, met := ours/floor, fmt.Sprintf("at least %g", t.least), ours/floor >= t.least
		if t.least < 0 {
			wanted, met = fmt.Sprintf("at most %g", -t.least), ratio <= -t.least
		}
		fmt.Fprintf(&w, "| %s | %.4g | %s | %s |\n", t.what, ratio, wanted, map[bool]string{true: "met", false: "not met"}[met])
	}
	for _, what := range b.missing {
		fmt.Fprintf(&w, "\nNot measured, since it is missing here: %s.\n", what)
	}
	for _, p := range b.plots() {
		fmt.Fprintf(&w, "\n![%s](%s)\n", p.title, p.file)
	}
	fmt.Fprint(&w, "\n![where the processor time goes](profile.svg)\n\n```")
	b.print(&w)
	fmt.Fprint(&w, "```\n")
	fmt.Fprint(&w, "\nThe figures from SMTP to delivery replace three earlier targets: idle context switches, the group-commit floor at 64 sessions, and\n"+
		"exec against bare vfork. [NOTES.md](NOTES.md) says why, what was tried, and why a target is not met.\n")
	err := os.WriteFile(filepath.Join(dir, "RESULT.md"), []byte(w.String()), 0o644)
	err = errors.Join(err, b.writeProfile(dir))
	for _, p := range b.plots() {
		f, ferr := os.Create(filepath.Join(dir, p.file))
		if ferr != nil {
			return ferr
		}
		p.write(f)
		err = errors.Join(err, f.Close())
	}
	return err
}

// machine says what was measured with what.
func (b *bench) machine() string {
	version := func(name string, args ...string) string {
		out, err := exec.Command(name, args...).CombinedOutput()
		if err != nil {
			return name + " ?"
		}
		first, _, _ := strings.Cut(strings.TrimSpace(string(out)), "\n")
		return first
	}
	return fmt.Sprintf("%d processors, %s, %s; queues on a loop-mounted journaled ext4; %s, Postfix %s", runtime.NumCPU(), version("uname", "-sr"),
		runtime.Version(), version(filepath.Join(b.bin, "smap"), "-version"), version("postconf", "-h", "mail_version"))
}

// plots are the pictures of the report.
func (b *bench) plots() []*plot {
	var bySessions []string
	for _, n := range sessions {
		bySessions = append(bySessions, fmt.Sprint(n))
	}
	waiting := []string{"1000", "1000000"}
	return []*plot{
		b.plot("throughput.svg", "durable messages per second, by sessions", "messages/s", bySessions, "smap -listen"+perMessage, "smap -listen"+perMany,
			"smap under inetd"+perMessage, postfixIs+perMessage, postfixIs+perMany, pairFloor),
		b.plot("relay.svg", "messages per second from SMTP to SMTP, by sessions", "messages/s", bySessions, relays...),
		b.plot("dot.svg", "from the last dot to the program's first instruction, 200 messages/s", "ms", percentiles, smapProgram+fromDot, postfixPipe+fromDot),
		b.plot("latency.svg", "from the commit to the agent's first instruction", "ms", percentiles, "C floor: inotify, vfork, exec", "smapd, agent exec",
			"smapd, agent exec, .mail drop", "smapd, agent exec, 200 messages/s"),
		b.plot("backlog.svg", "new messages per second, by messages that wait", "messages/s", waiting, besideIs),
	}
}

func (b *bench) plot(file, title, unit string, x []string, groups ...string) *plot {
	p := &plot{file: file, title: title, unit: unit, x: x}
	for _, group := range groups {
		p.line(b, group, x)
	}
	return p
}

// percentiles are the columns of a distribution.
var percentiles = []string{"p10", "p25", "p50", "p75", "p90", "p99"}

// A plot is a few lines over the same columns.
type plot struct {
	file, title, unit string
	x                 []string
	lines             []line
}

type line struct {
	name   string
	values []float64
}

// line adds the results of a group, if all columns are there.
func (p *plot) line(b *bench, group string, columns []string) {
	l := line{name: group}
	for _, c := range columns {
		v, ok := b.value(group, c)
		if !ok {
			return
		}
		l.values = append(l.values, v)
	}
	p.lines = append(p.lines, l)
}

const (
	plotWidth, plotHeight = 760, 400
	plotLeft, plotTop     = 70, 50
	plotRight, plotBottom = 420, 350 // of the area that the lines take; names stand beside it
)

// write draws the plot as SVG.
func (p *plot) write(w io.Writer) {
	most := 0.0
	for _, l := range p.lines {
		for _, v := range l.values {
			most = max(most, v)
		}
	}
	if most == 0 {
		most = 1
	}
	px := func(i int) float64 {
		return plotLeft + float64(plotRight-plotLeft)*float64(i)/float64(max(1, len(p.x)-1))
	}
	py := func(v float64) float64 { return plotBottom - float64(plotBottom-plotTop)*v/most }
	fmt.Fprintf(w, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" font-family=\"sans-serif\" font-size=\"12\">\n", plotWidth, plotHeight)
	fmt.Fprintf(w, "<rect width=\"%d\" height=\"%d\" fill=\"#fff\"/>\n<text x=\"%d\" y=\"24\" font-size=\"14\">%s</text>\n", plotWidth, plotHeight, plotLeft, p.title)
	for i := range 5 {
		v := most * float64(i) / 4
		fmt.Fprintf(w, "<path d=\"M%d %.1fH%d\" stroke=\"#ddd\"/><text x=\"%d\" y=\"%.1f\" text-anchor=\"end\">%.3g</text>\n",
			plotLeft, py(v), plotRight, plotLeft-6, py(v)+4, v)
	}
	fmt.Fprintf(w, "<text x=\"%d\" y=\"42\" font-size=\"11\" fill=\"#555\">%s</text>\n", plotLeft, p.unit)
	for i, x := range p.x {
		fmt.Fprintf(w, "<text x=\"%.1f\" y=\"%d\" text-anchor=\"middle\">%s</text>\n", px(i), plotBottom+18, x)
	}
	colours := []string{"#b22", "#267", "#d80", "#555", "#999", "#383"}
	for n, l := range p.lines {
		colour := colours[n%len(colours)]
		var path strings.Builder
		for i, v := range l.values {
			fmt.Fprintf(&path, "%c%.1f %.1f", "ML"[min(i, 1)], px(i), py(v))
		}
		at := plotTop + 10 + 18*n
		fmt.Fprintf(w, "<path d=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", path.String(), colour)
		fmt.Fprintf(w, "<path d=\"M%d %dh20\" stroke=\"%s\" stroke-width=\"2\"/><text x=\"%d\" y=\"%d\" font-size=\"11\">%s</text>\n",
			plotRight+20, at-4, colour, plotRight+46, at, shorten(l.name))
	}
	fmt.Fprintln(w, "</svg>")
}

// shorten makes a name fit beside a plot.
func shorten(name string) string {
	for _, r := range [][2]string{{"connection per message", "1 message each"}, {"many messages per connection", "many each"},
		{pairFloor, "floor: fsync for each"}} {
		name = strings.ReplaceAll(name, r[0], r[1])
	}
	return strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(name)
}
