package courier

import (
	"fmt"
	"strconv"
	"strings"
	"time"

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
	lanes    map[string]*laneCounts
	reports  [reportKinds]uint64
	finished uint64 // messages, as are the next two
	deferred uint64
	aside    uint64
}

// laneCounts are those of one lane.
type laneCounts struct {
	recipients [agent.Failed + 1]uint64 // by outcome of an attempt
	replies    [replyClasses]uint64     // of servers, by their first digit
}

const replyClasses = 6

// lane returns the counts of a lane.
func (c *counts) lane(name string) *laneCounts {
	if c.lanes == nil {
		c.lanes = make(map[string]*laneCounts)
	}
	n := c.lanes[name]
	if n == nil {
		n = &laneCounts{}
		c.lanes[name] = n
	}
	return n
}

// result counts what became of one recipient.
func (c *counts) result(lane string, r agent.Result) {
	n := c.lane(lane)
	n.recipients[r.Outcome]++
	if r.Reply != "" {
		if class := int(r.Reply[0] - '0'); class >= 0 && class < replyClasses {
			n.replies[class]++
		}
	}
}

// fed tells whether reports were fed.
func (c *counts) fed() bool { return c.reports != [reportKinds]uint64{} }

// add takes in the end of a delivery.
func (m *metrics) add(r *result) {
	m.changed = true
	c := &m.counts
	for name, more := range r.count.lanes {
		n := c.lane(name)
		for i, k := range more.recipients {
			n.recipients[i] += k
		}
		for i, k := range more.replies {
			n.replies[i] += k
		}
	}
	for i, n := range r.count.reports {
		c.reports[i] += n
	}
	switch r.verdict {
	case verdictFinished:
		c.finished++
		m.age(r.age)
	case verdictAside:
		c.aside++
	case verdictDeferred:
		c.deferred++
	}
}

// ageBuckets are the histogram's upper bounds in seconds: a millisecond is what
// an event takes, days are what a schedule takes.
var ageBuckets = [...]float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30, 60, 300, 3600, 14400, 86400, 432000}

// metrics is what the metrics file has.
type metrics struct {
	counts  counts
	started time.Time
	ages    [len(ageBuckets) + 1]uint64
	sum     float64

	// Of the last rescan.
	waiting, deferred, aside int
	oldestNew, oldestCur     time.Time
	scan                     time.Duration

	changed bool
	last    time.Time // when it was written
}

func newMetrics() metrics { return metrics{started: time.Now()} }

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

// next is when to write the file; zero is not yet.
func (m *metrics) next() time.Time {
	if !m.changed {
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
	m := &l.chores.metrics
	e.totals(&m.counts)
	e.lanes(l.d, &m.counts)
	e.boxes(m, now)
	e.family("smapd_trouble", "gauge", "1 while deliveries pause because this is broken.")
	e.sample("smapd_trouble", label("what", "agent"), truth(l.d.lane("").gate.shut))
	e.sample("smapd_trouble", label("what", "spool"), truth(l.d.spool.shut))
	e.family("smapd_watching", "gauge", "1 while events tell of new mail, 0 while rescans find it.")
	e.sample("smapd_watching", "", truth(l.side.w.fs != nil))
	e.family("smapd_rescan_seconds", "gauge", "Duration of the last rescan.")
	e.sample("smapd_rescan_seconds", "", m.scan.Seconds())
	e.family("smapd_start_time_seconds", "gauge", "When this process began, in seconds since 1970.")
	e.sample("smapd_start_time_seconds", "", float64(m.started.Unix()))
	e.ages(m)
	return e.String()
}

func (e *exposition) totals(c *counts) {
	var all laneCounts
	for _, n := range c.lanes {
		for o, k := range n.recipients {
			all.recipients[o] += k
		}
	}
	e.family("smapd_recipients_total", "counter", "Recipients by what an attempt came to.")
	for o, n := range all.recipients {
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
}

// lanes has a row for each lane.
func (e *exposition) lanes(d *dispatcher, c *counts) {
	each := func(name, kind, help string, value func(*lane) float64) {
		e.family(name, kind, help)
		for _, l := range d.lanes {
			e.sample(name, label("lane", l.title()), value(l))
		}
	}
	e.family("smapd_running", "gauge", "Deliveries that run now.")
	e.sample("smapd_running", "", float64(d.running()))
	each("smapd_lane_running", "gauge", "Deliveries that run now, by lane.", func(l *lane) float64 { return float64(l.running) })
	each("smapd_lane_waiting", "gauge", "Messages in memory that wait for a slot, by lane.", func(l *lane) float64 { return float64(l.size) })
	each("smapd_lane_slots", "gauge", "Deliveries that may run, by lane; 0 is paused.", func(l *lane) float64 { return float64(l.slots) })
	each("smapd_lane_shut", "gauge", "1 while the agent of a lane cannot be reached.", func(l *lane) float64 { return truth(l.gate.shut) })
	e.family("smapd_lane_recipients_total", "counter", "Recipients by lane and by what an attempt came to.")
	for _, l := range d.lanes {
		for o, n := range c.lane(l.name).recipients {
			e.sample("smapd_lane_recipients_total", label("lane", l.title())+","+label("outcome", agent.Outcome(o).String()), float64(n))
		}
	}
	e.family("smapd_lane_replies_total", "counter", "Replies of servers by lane and by their first digit.")
	for _, l := range d.lanes {
		for class, n := range c.lane(l.name).replies {
			if class == 2 || class > 3 {
				e.sample("smapd_lane_replies_total", label("lane", l.title())+","+label("class", strconv.Itoa(class)+"yz"), float64(n))
			}
		}
	}
}

func (e *exposition) boxes(m *metrics, now time.Time) {
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
}

func (e *exposition) ages(m *metrics) {
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
