//go:build system

package soak

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"smap/internal/systest/kit"
)

// gauges are the series that are sampled, by name.
type gauges struct {
	names  []string
	series map[string][]float64
	most   map[string]float64 // by which the floor of the second half may rise
	slack  float64            // these times this, where it is not 0
}

func (g *gauges) add(name string, value, most float64) {
	if g.series == nil {
		g.series, g.most = map[string][]float64{}, map[string]float64{}
	}
	if _, known := g.series[name]; !known {
		g.names = append(g.names, name)
	}
	g.series[name], g.most[name] = append(g.series[name], value), most*max(g.slack, 1)
}

// What may be added to the floor in half the time; memory is in KiB.
const (
	mostDescriptors = 2
	mostThreads     = 3
	mostProcesses   = 1
	mostFiles       = 20
	mostMemory      = 1 << 10
)

// process takes a sample of one.
func (g *gauges) process(name string, pid int) error {
	dir := fmt.Sprintf("/proc/%d/", pid)
	others, contents, err := descriptors(pid)
	if err != nil {
		return fmt.Errorf("%s has ended: %w", name, err)
	}
	g.add(name+", descriptors", float64(others), mostDescriptors)
	g.add(name+", contents", float64(contents), mostFiles)
	for _, m := range []struct {
		file, key, what string
		most            float64
	}{
		{"status", "Threads", "threads", mostThreads},
		{"status", "VmRSS", "resident KiB", mostMemory},
		{"smaps_rollup", "Private_Dirty", "private dirty KiB", mostMemory},
	} {
		text, err := os.ReadFile(dir + m.file)
		if err != nil {
			return err
		}
		_, rest, ok := strings.Cut(string(text), "\n"+m.key+":")
		word := strings.Fields(rest)
		if !ok || len(word) == 0 {
			return fmt.Errorf("%s%s has no %s", dir, m.file, m.key)
		}
		value, err := strconv.ParseFloat(word[0], 64)
		if err != nil {
			return err
		}
		g.add(name+", "+m.what, value, m.most)
	}
	return nil
}

// verdict writes a line for each series, and says which ones rise.
func (g *gauges) verdict(t *testing.T) (wrong []string) {
	t.Helper()
	t.Logf("%-44s %9s %9s %9s %9s %9s %9s", "", "first", "middle", "last", "least", "most", "growth")
	for _, name := range g.names {
		s := g.series[name]
		rise := growth(s)
		t.Logf("%-44s %9.0f %9.0f %9.0f %9.0f %9.0f %9.1f", name, s[0], s[len(s)/2], s[len(s)-1], slices.Min(s), slices.Max(s), rise)
		if rise > g.most[name] {
			wrong = append(wrong, fmt.Sprintf("%s: grows by %.1f in half the time, at most %.0f is flat", name, rise, g.most[name]))
		}
	}
	return wrong
}

// goroutines ends a process with QUIT, which makes it write down its goroutines, and counts them, without those that the
// runtime has for itself. text is what it wrote.
func goroutines(pid int, log string) (n int, text string, err error) {
	before, err := os.ReadFile(log)
	if err != nil {
		return 0, "", err
	}
	if err := syscall.Kill(pid, syscall.SIGQUIT); err != nil {
		return 0, "", err
	}
	kit.Eventually(10*time.Second, func() bool {
		_, gone := os.Stat(fmt.Sprintf("/proc/%d/fd", pid))
		after, rerr := os.ReadFile(log)
		if rerr == nil {
			text = string(after[len(before):])
		}
		err = rerr
		return gone != nil
	})
	for block := range strings.SplitSeq(text, "\n\n") {
		if strings.HasPrefix(block, "goroutine ") && (strings.Contains(block, "\nmain.main()") || strings.Contains(block, "\ncreated by ")) &&
			!strings.Contains(block, "\ncreated by runtime.") {
			n++
		}
	}
	return n, text, err
}
