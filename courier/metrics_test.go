package courier

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"smap/courier/agent"
	"strconv"
	"strings"
	"testing"
	"time"
)

// The text format, version 0.0.4, as Prometheus documents it; stricter where it
// leaves a choice that we do not need.
var (
	helpLine   = regexp.MustCompile(`^# HELP ([a-z_]+) (\S.*)$`)
	typeLine   = regexp.MustCompile(`^# TYPE ([a-z_]+) (counter|gauge|histogram)$`)
	sampleLine = regexp.MustCompile(`^([a-z_]+)(\{[a-z]+="[^"\\\n]*"(?:,[a-z]+="[^"\\\n]*")*\})? (\S+)$`)
)

// exposed parses a metrics file and returns its samples, keyed as they stand
// there.
func exposed(t *testing.T, text string) map[string]float64 {
	t.Helper()
	if !strings.HasSuffix(text, "\n") {
		t.Error("the last line has no end")
	}
	samples := map[string]float64{}
	types := map[string]string{}
	helped, current := "", ""
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		if m := helpLine.FindStringSubmatch(line); m != nil {
			helped = m[1]
			continue
		}
		if m := typeLine.FindStringSubmatch(line); m != nil {
			if m[1] != helped || types[m[1]] != "" {
				t.Errorf("%q is not after its HELP, or comes twice", line)
			}
			current = m[1]
			types[current] = m[2]
			continue
		}
		m := sampleLine.FindStringSubmatch(line)
		if m == nil {
			t.Fatalf("not a sample: %q", line)
		}
		family := m[1]
		if types[current] == "histogram" {
			for _, suffix := range []string{"_bucket", "_sum", "_count"} {
				family = strings.TrimSuffix(family, suffix)
			}
		}
		v, err := strconv.ParseFloat(m[3], 64)
		key := m[1] + m[2]
		if _, twice := samples[key]; family != current || err != nil || twice || math.IsNaN(v) {
			t.Errorf("%q: family %s, %v, twice %v", line, current, err, twice)
		}
		if (types[current] == "counter") != strings.HasSuffix(current, "_total") || v < 0 {
			t.Errorf("%q", line)
		}
		samples[key] = v
	}
	for name, kind := range types {
		if kind == "histogram" {
			checkHistogram(t, name, text, samples)
		}
	}
	return samples
}

// checkHistogram: bounds rise, counts do not fall, and the last is +Inf and the
// count.
func checkHistogram(t *testing.T, name, text string, samples map[string]float64) {
	t.Helper()
	bound, count := math.Inf(-1), 0.0
	for line := range strings.Lines(text) {
		m := sampleLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if m == nil || m[1] != name+"_bucket" || !strings.HasPrefix(m[2], `{le="`) {
			continue
		}
		le, err := strconv.ParseFloat(strings.TrimSuffix(strings.TrimPrefix(m[2], `{le="`), `"}`), 64)
		n, nerr := strconv.ParseFloat(m[3], 64)
		if err != nil || nerr != nil || le <= bound || n < count {
			t.Errorf("%q after %v and %v", line, bound, count)
		}
		bound, count = le, n
	}
	if total, ok := samples[name+"_count"]; !math.IsInf(bound, 1) || !ok || total != count {
		t.Errorf("%s: last bound %v with %v, count %v", name, bound, count, total)
	}
	if _, ok := samples[name+"_sum"]; !ok {
		t.Errorf("%s has no sum", name)
	}
}

func TestMetrics(t *testing.T) {
	b, _ := newReporter(t)
	b.cfg.BadAdmin = "postmaster"
	b.cfg.Metrics = filepath.Join(t.TempDir(), "smapd.prom")
	b.send("x\n", "a@example.com", "good@x.test", "bad@x.test")
	waits := b.send("x\n", "a@example.com", "wait@x.test")
	b.send("x\n", "a@example.com", "bad@x.test NOTIFY=NEVER")
	old := time.Now().Add(-time.Hour)
	if err := os.Chtimes(b.path("new/"+waits+".eml"), old, old); err != nil {
		t.Fatal(err)
	}
	b.run()
	b.eventually("all is done", func() bool {
		return b.log.count("msg=finished") == 2 && b.log.count("msg=aside") == 1 && b.log.count("msg=deferred") == 1
	})
	b.c.Rescan() // what the queue looks like is of the last one
	b.eventually("rescan", func() bool { return len(b.c.rescan) == 0 })
	for range 2 {
		if err := b.c.Ping(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.halt()
	data, err := os.ReadFile(b.cfg.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	if st, err := os.Stat(b.cfg.Metrics); err != nil || st.Mode().Perm() != 0o644 {
		t.Errorf("%v %v", st.Mode(), err)
	}
	got := exposed(t, string(data))
	for name, want := range map[string]float64{
		`smapd_recipients_total{outcome="delivered"}`:                  2, // one of them a report's
		`smapd_recipients_total{outcome="failed"}`:                     2,
		`smapd_recipients_total{outcome="retry"}`:                      1,
		`smapd_messages_total{outcome="finished"}`:                     2,
		`smapd_messages_total{outcome="deferred"}`:                     1,
		`smapd_messages_total{outcome="aside"}`:                        1,
		`smapd_reports_total{kind="failure"}`:                          1,
		`smapd_reports_total{kind="digest"}`:                           1,
		`smapd_queue_messages{box="cur"}`:                              1,
		`smapd_queue_messages{box="bad"}`:                              1,
		`smapd_queue_messages{box="new"}`:                              0,
		`smapd_trouble{what="agent"}`:                                  0,
		`smapd_running`:                                                0,
		`smapd_lane_shut{lane="default"}`:                              0,
		`smapd_lane_slots{lane="default"}`:                             8,
		`smapd_lane_recipients_total{lane="default",outcome="failed"}`: 2,
		`smapd_lane_replies_total{lane="default",class="5yz"}`:         2,
		`smapd_delivery_seconds_count`:                                 2,
		`smapd_delivery_seconds_bucket{le="5"}`:                        2,
	} {
		if got[name] != want {
			t.Errorf("%s is %v, want %v", name, got[name], want)
		}
	}
	if age := got[`smapd_oldest_seconds{box="cur"}`]; age < 3590 || age > 3700 {
		t.Errorf("the oldest in cur is %v s old", age)
	}
}

// TestMetricsLanes: each lane has rows of its own, also one that is paused or whose agent
// cannot be reached, and replies are counted by lane and class.
func TestMetricsLanes(t *testing.T) {
	t.Parallel()
	replies := map[string]string{"good@x.test": "250 2.0.0 ok", "busy@x.test": "450 4.2.1 later", "bad@x.test": "550 5.1.1 no", "bad@y.test": "554 5.7.1 no"}
	server := agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		var results []agent.Result
		for _, to := range job.Recipients {
			r := agent.Result{Reply: replies[to.Address], Text: "x"}
			switch r.Reply[0] {
			case '2':
				r.Outcome = agent.Delivered
			case '5':
				r.Outcome = agent.Failed
			}
			results = append(results, r)
		}
		return results, nil
	})
	b := newBench(t, server)
	b.cfg.Metrics, b.cfg.Shut = filepath.Join(t.TempDir(), "smapd.prom"), ShutFile(b.dir)
	down := agentFunc(func(context.Context, *agent.Job) ([]agent.Result, error) {
		return nil, &agent.StartError{Agent: "test", Err: errors.New("connection refused")}
	})
	b.cfg.Lanes = []Lane{{Name: "other", Agent: server, MaxChildren: 3}, {Name: "down", Agent: down}, {Name: "paused", Agent: server, MaxChildren: -1}}
	for lane, pattern := range map[string]string{"other": "y.test", "down": "down.test", "paused": "paused.test"} {
		p, err := ParsePattern(pattern)
		if err != nil {
			t.Fatal(err)
		}
		b.cfg.Routes = append(b.cfg.Routes, Route{Lane: lane, Patterns: []Pattern{p}})
	}
	b.message("x\n", "good@x.test", "busy@x.test", "bad@x.test")
	b.message("x\n", "good@x.test")
	b.message("x\n", "bad@y.test")
	for range 3 {
		b.message("x\n", "a@down.test")
	}
	b.message("x\n", "a@paused.test")
	b.run()
	b.eventually("all were tried", func() bool {
		return b.log.count("msg=deferred") == 1 && b.log.count("msg=finished") == 1 && b.log.count("msg=aside") == 1 && b.exists("smapd-shut.json")
	})
	b.halt()
	data, err := os.ReadFile(b.cfg.Metrics)
	if err != nil {
		t.Fatal(err)
	}
	got := exposed(t, string(data))
	for name, want := range map[string]float64{
		`smapd_lane_recipients_total{lane="default",outcome="delivered"}`: 2,
		`smapd_lane_recipients_total{lane="default",outcome="retry"}`:     1,
		`smapd_lane_recipients_total{lane="default",outcome="failed"}`:    1,
		`smapd_lane_recipients_total{lane="other",outcome="delivered"}`:   0,
		`smapd_lane_recipients_total{lane="other",outcome="failed"}`:      1,
		`smapd_lane_replies_total{lane="default",class="2yz"}`:            2,
		`smapd_lane_replies_total{lane="default",class="4yz"}`:            1,
		`smapd_lane_replies_total{lane="default",class="5yz"}`:            1,
		`smapd_lane_replies_total{lane="other",class="2yz"}`:              0,
		`smapd_lane_replies_total{lane="other",class="5yz"}`:              1,
		`smapd_lane_slots{lane="default"}`:                                8,
		`smapd_lane_slots{lane="other"}`:                                  3,
		`smapd_lane_slots{lane="paused"}`:                                 0,
		`smapd_lane_shut{lane="default"}`:                                 0,
		`smapd_lane_shut{lane="other"}`:                                   0,
		`smapd_lane_shut{lane="down"}`:                                    1,
		`smapd_lane_shut{lane="paused"}`:                                  0,
		`smapd_lane_waiting{lane="other"}`:                                0,
		`smapd_lane_waiting{lane="down"}`:                                 3,
		`smapd_lane_waiting{lane="paused"}`:                               1,
		`smapd_lane_running{lane="down"}`:                                 0,
		`smapd_running`:                                                   0,
	} {
		if v, ok := got[name]; !ok || v != want {
			t.Errorf("%s is %v, want %v", name, v, want)
		}
	}
}

// TestMetricsUnwritable: the mail goes on, and the log says it once.
func TestMetricsUnwritable(t *testing.T) {
	b := newBench(t, all(agent.Result{Outcome: agent.Delivered}))
	b.cfg.Metrics = filepath.Join(t.TempDir(), "none", "smapd.prom")
	for range 3 {
		b.message("x\n")
	}
	b.cfg.Wakeup = 20 * time.Millisecond
	b.run()
	b.eventually("delivered", func() bool { return b.log.count("msg=finished") == 3 && b.empty() })
	b.halt()
	if b.log.count("what=metrics") != 1 {
		t.Error("log")
	}
}

func TestAgeBuckets(t *testing.T) {
	var m metrics
	for _, s := range []float64{-1, 0, .001, .0011, 1, 1e9} {
		m.age(time.Duration(s * float64(time.Second)))
	}
	for i, want := range map[int]uint64{0: 3, 1: 1, 9: 1, len(ageBuckets): 1} {
		if m.ages[i] != want {
			t.Errorf("bucket %d has %d, want %d: %v", i, m.ages[i], want, fmt.Sprint(m.ages))
		}
	}
}
