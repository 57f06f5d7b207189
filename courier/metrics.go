package courier

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/renameio/v2"

	"smap/courier/agent"
	"smap/spoolfmt"
)

// metricsEvery is the least time between two writes of the metrics file.
const metricsEvery = 5 * time.Second

// A reportKind is a kind of message that the courier itself writes.
type reportKind int

const (
	failureReport reportKind = iota
	delayReport
	successReport
	digestReport
	reportKinds
)

// String returns the kind as the log and the envelope have it.
func (k reportKind) String() string {
	return [reportKinds]string{"failure", "delay", "success", "digest"}[k]
}

// counts are what deliveries add up to, for the log's last line and the metrics.
type counts struct {
	recipients [agent.Failed + 1]uint64 // by outcome of an attempt
	reports    [reportKinds]uint64
	finished   uint64 // messages, as are the next two
	deferred   uint64
	aside      uint64
}

func (c *counts) add(more counts) {
	for i, n := range more.recipients {
		c.recipients[i] += n
	}
	for i, n := range more.reports {
		c.reports[i] += n
	}
}

// ageBuckets are the histogram's upper bounds in seconds: a millisecond is what
// an event takes, days are what a schedule takes.
var ageBuckets = [...]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 60, 300, 3600, 14400, 86400, 432000}

// metrics is what the file says besides the counts.
type metrics struct {
	started time.Time
	ages    [len(ageBuckets) + 1]uint64
	sum     float64

	// Of the last rescan.
	waiting, deferred, aside int
	oldestNew, oldestCur     time.Time
	scan                     time.Duration

	changed bool
	writing bool
	last    time.Time // when it was written
}

// age counts a message by its time from arrival to delivery.
func (m *metrics) age(d time.Duration) {
	s := max(d.Seconds(), 0)
	i := 0
	for i < len(ageBuckets) && s > ageBuckets[i] {
		i++
	}
	m.ages[i]++
	m.sum += s
}

// scanned takes in what a scan found.
func (m *metrics) scanned(s scanned) {
	m.changed = true
	switch s.box {
	case spoolfmt.New:
		m.waiting, m.oldestNew, m.scan = s.waits, s.oldest, s.took
	case spoolfmt.Cur:
		m.deferred, m.oldestCur = s.waits, s.oldest
		m.scan += s.took
	case spoolfmt.Bad:
		m.aside = s.waits
	}
}

// next is when the file is to be written; zero is not yet.
func (m *metrics) next() time.Time {
	if !m.changed || m.writing {
		return time.Time{}
	}
	return m.last.Add(metricsEvery)
}

// exposition writes Prometheus' text format, version 0.0.4.
type exposition struct{ strings.Builder }

func (e *exposition) family(name, kind, help string) {
	fmt.Fprintf(e, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (e *exposition) sample(name, labels string, v float64) {
	if labels != "" {
		labels = "{" + labels + "}"
	}
	fmt.Fprintf(e, "%s%s %s\n", name, labels, strconv.FormatFloat(v, 'g', -1, 64))
}

func label(name, value string) string { return name + "=" + strconv.Quote(value) }

// exposition is the whole file.
func (l *loop) exposition(now time.Time) string {
	var e exposition
	m, c := &l.metrics, &l.sum
	e.family("smapd_recipients_total", "counter", "Recipients by what an attempt came to.")
	for o, n := range c.recipients {
		e.sample("smapd_recipients_total", label("outcome", agent.Outcome(o).String()), float64(n))
	}
	e.family("smapd_messages_total", "counter", "Messages by what an attempt came to.")
	e.sample("smapd_messages_total", label("outcome", "finished"), float64(c.finished))
	e.sample("smapd_messages_total", label("outcome", "deferred"), float64(c.deferred))
	e.sample("smapd_messages_total", label("outcome", "aside"), float64(c.aside))
	e.family("smapd_reports_total", "counter", "Messages of our own by kind.")
	for k, n := range c.reports {
		e.sample("smapd_reports_total", label("kind", reportKind(k).String()), float64(n))
	}
	e.family("smapd_running", "gauge", "Deliveries that run now.")
	e.sample("smapd_running", "", float64(l.running))
	e.family("smapd_queue_messages", "gauge", "Messages in the spool at the last rescan, by box.")
	for _, q := range []struct {
		box string
		n   int
	}{{"new", m.waiting}, {"cur", m.deferred}, {"bad", m.aside}} {
		e.sample("smapd_queue_messages", label("box", q.box), float64(q.n))
	}
	e.family("smapd_oldest_seconds", "gauge", "Age of the oldest message that the last rescan saw, by box.")
	e.sample("smapd_oldest_seconds", label("box", "new"), age(m.oldestNew, now))
	e.sample("smapd_oldest_seconds", label("box", "cur"), age(m.oldestCur, now))
	e.family("smapd_trouble", "gauge", "1 while deliveries pause because this is broken.")
	for _, g := range []*gate{&l.agentGate, &l.spoolGate} {
		e.sample("smapd_trouble", label("what", g.what), truth(g.shut))
	}
	e.family("smapd_watching", "gauge", "1 while events tell of new mail, 0 while rescans find it.")
	e.sample("smapd_watching", "", truth(l.w.fs != nil))
	e.family("smapd_rescan_seconds", "gauge", "Duration of the last rescan.")
	e.sample("smapd_rescan_seconds", "", m.scan.Seconds())
	e.family("smapd_start_time_seconds", "gauge", "When this process began, in seconds since 1970.")
	e.sample("smapd_start_time_seconds", "", float64(m.started.Unix()))
	e.family("smapd_delivery_seconds", "histogram", "Seconds from a message's arrival to the end of its delivery.")
	var n uint64
	for i, k := range m.ages {
		n += k
		bound := "+Inf"
		if i < len(ageBuckets) {
			bound = strconv.FormatFloat(ageBuckets[i], 'g', -1, 64)
		}
		e.sample("smapd_delivery_seconds_bucket", label("le", bound), float64(n))
	}
	e.sample("smapd_delivery_seconds_sum", "", m.sum)
	e.sample("smapd_delivery_seconds_count", "", float64(n))
	return e.String()
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func age(since, now time.Time) float64 {
	if since.IsZero() {
		return 0
	}
	return max(now.Sub(since).Seconds(), 0)
}

// writeMetrics writes the file, beside the deliveries, when it is time.
func (l *loop) writeMetrics(now time.Time) {
	at := l.metrics.next()
	if l.cfg.Metrics == "" || at.IsZero() || now.Before(at) {
		return
	}
	l.metrics.changed, l.metrics.writing, l.metrics.last = false, true, now
	path, text := l.cfg.Metrics, l.exposition(now)
	go func() { l.wrote <- renameio.WriteFile(path, []byte(text), 0o644) }()
}

// metricsWritten notes how that went.
func (l *loop) metricsWritten(err error) {
	l.metrics.writing = false
	switch {
	case err == nil:
		l.odd.drop("metrics")
	case l.odd.once("metrics"):
		l.ev.trouble("metrics", err)
	}
}

// lastMetrics writes the file once more, at the end.
func (l *loop) lastMetrics() {
	if l.metrics.writing {
		l.metricsWritten(<-l.wrote)
	}
	if l.cfg.Metrics != "" {
		l.metricsWritten(renameio.WriteFile(l.cfg.Metrics, []byte(l.exposition(time.Now())), 0o644))
	}
}
