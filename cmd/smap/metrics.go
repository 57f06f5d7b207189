package main

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/google/renameio/v2"

	"smap/internal/eventlog"
)

// metricsEvery is the least time between two writes of the metrics file.
const metricsEvery = 5 * time.Second

// Values of labels: the rules of the table that the event "refused" can name, and
// the classes of replies.
var (
	refusalRules   = [...]string{"none", "local-domains", "relay-hosts"}
	refusalClasses = [...]string{"4yz", "5yz"}
)

// metrics are counts that the parent of a server makes from the log lines of its
// children. An attacker who controls a child can make the counts wrong, but gains
// nothing else.
type metrics struct {
	log   *slog.Logger
	began time.Time

	mu      sync.Mutex
	path    string // "": the table names no file
	changed bool
	failed  bool // the last write failed, and that is logged

	served, denied, busy     uint64 // connections
	messages, octets         uint64
	refusals                 [len(refusalClasses)][len(refusalRules)]uint64
	alerts, errors, sessions uint64
}

// follow sets the path of the file. "" stops the writing.
func (m *metrics) follow(path string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.path, m.changed = path, true
}

// wanted tells whether the table names a metrics file.
func (m *metrics) wanted() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.path != ""
}

// run writes the file until done is closed, and then once more.
func (m *metrics) run(done <-chan struct{}) {
	ticker := time.NewTicker(metricsEvery)
	defer ticker.Stop()
	for {
		select {
		case <-done:
			m.write()
			return
		case <-ticker.C:
			m.write()
		}
	}
}

// write writes the file if a count or the path has changed.
func (m *metrics) write() {
	m.mu.Lock()
	path, text := m.path, ""
	if m.path != "" && m.changed {
		text = m.exposition()
	}
	m.changed = false
	failed := m.failed
	m.mu.Unlock()
	if text == "" {
		return
	}
	err := renameio.WriteFile(path, []byte(text), 0o644)
	if err != nil && !failed {
		m.log.Error(eventMetrics, "error", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.failed = err != nil
	m.changed = m.changed || m.failed
}

// A childMetrics counts the lines of one child.
type childMetrics struct {
	*metrics
	open uint64 // sessions now
	busy uint64 // refused= of the child's last busy event
}

// child returns a reader for the next child.
func (m *metrics) child() eventlog.Reader { return &childMetrics{metrics: m} }

// Line counts the event of one log line.
func (c *childMetrics) Line(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.changed = true
	event, _, _ := strings.Cut(text, " client=")
	switch event {
	case "connect":
		c.served++
		c.open++
		c.sessions++
	case eventExit:
		c.leave(min(c.open, 1))
	case "message":
		c.messages++
		size, _ := strconv.ParseUint(last(text, " size="), 10, 63) // 0 if the line has no valid size
		c.octets += size
	case "refused":
		c.refused(text)
	case eventBusy:
		n, _ := strconv.ParseUint(last(text, " refused="), 10, 32)
		if n > c.busy {
			c.metrics.busy += n - c.busy
			c.busy = n
		}
	case eventDeny:
		c.denied++
	}
	switch {
	case strings.HasPrefix(text, "securityalert: "):
		c.alerts++
	case strings.HasPrefix(text, "fwtksyserr: "):
		c.errors++
	}
}

// End forgets the sessions of a child that is gone.
func (c *childMetrics) End() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.leave(c.open)
	c.changed = true
}

func (c *childMetrics) leave(n uint64) {
	c.open -= n
	c.sessions -= n
}

// refused counts a refusal by the first digit of the reply and the table's rule.
func (c *childMetrics) refused(text string) {
	class, rule := 1, 0
	if strings.HasPrefix(last(text, ` reply="`), "4") {
		class = 0
	}
	word, _, _ := strings.Cut(last(text, ` rule="`), " ")
	for i, known := range refusalRules {
		if word == known {
			rule = i
		}
	}
	c.refusals[class][rule]++
}

// last returns the text after the last occurrence of a key in a line. A client
// cannot forge it. If the key has a quote, the log escapes that in a client's text.
// If it has none, its value is the last one of the line.
func last(text, key string) string {
	if i := strings.LastIndex(text, key); i >= 0 {
		return text[i+len(key):]
	}
	return ""
}

// exposition returns the file's content in Prometheus' text format, version 0.0.4.
func (m *metrics) exposition() string {
	var b strings.Builder
	family := func(name, kind, help string) { fmt.Fprintf(&b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind) }
	one := func(name, kind, help string, n uint64) {
		family(name, kind, help)
		fmt.Fprintf(&b, "%s %d\n", name, n)
	}
	family("smap_connections_total", "counter", "Connections by what became of them.")
	fmt.Fprintf(&b, "smap_connections_total{outcome=\"served\"} %d\n", m.served)
	fmt.Fprintf(&b, "smap_connections_total{outcome=\"denied\"} %d\n", m.denied)
	fmt.Fprintf(&b, "smap_connections_total{outcome=\"busy\"} %d\n", m.busy)
	one("smap_sessions", "gauge", "Sessions now.", m.sessions)
	one("smap_messages_total", "counter", "Messages that were accepted.", m.messages)
	one("smap_octets_total", "counter", "Octets of accepted messages.", m.octets)
	family("smap_refusals_total", "counter", "Commands and messages that were refused, by the class of the reply and the rule that would admit them.")
	for i, class := range refusalClasses {
		for j, rule := range refusalRules {
			fmt.Fprintf(&b, "smap_refusals_total{class=%q,rule=%q} %d\n", class, rule, m.refusals[i][j])
		}
	}
	one("smap_securityalerts_total", "counter", "Events that look like an attack.", m.alerts)
	one("smap_system_errors_total", "counter", "Troubles of the system.", m.errors)
	one("smap_start_time_seconds", "gauge", "When this process began, in seconds since 1970.", uint64(m.began.Unix()))
	return b.String()
}
