package docs

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// metricsOf are the names of metrics in a text, without what Prometheus adds to a histogram's.
func metricsOf(text string) map[string]bool {
	names := make(map[string]bool)
	for _, name := range regexp.MustCompile(`\bsmapd?_[a-z_]+`).FindAllString(text, -1) {
		for _, added := range []string{"_bucket", "_sum", "_count"} {
			name = strings.TrimSuffix(name, added)
		}
		names[name] = true
	}
	return names
}

// unwritten are the metrics, and the values of labels, that a rule or a dashboard reads and no program writes.
func unwritten(reads, code string) []string {
	var found []string
	written := metricsOf(code)
	for name := range metricsOf(reads) {
		if !written[name] {
			found = append(found, name)
		}
	}
	for _, m := range regexp.MustCompile(`\bsmapd?_[a-z_]+\{([a-z]+)=\\?"([a-z0-9]+)\\?"\}`).FindAllStringSubmatch(reads, -1) {
		if !strings.Contains(code, m[1]) || !regexp.MustCompile(`"`+m[2]+`\\?"`).MatchString(code) {
			found = append(found, m[0])
		}
	}
	return found
}

// TestMetricNames: the alert rules and the dashboard read what smap and smapd write.
func TestMetricNames(t *testing.T) {
	text := func(path string) string {
		t.Helper()
		b, err := os.ReadFile(filepath.Join(root, path))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	code := text("cmd/smap/metrics.go") + text("courier/metrics.go")
	rules, dashboard := text("contrib/prometheus/smap.rules.yml"), text("contrib/prometheus/grafana.json")
	if !json.Valid([]byte(dashboard)) {
		t.Error("the dashboard is no JSON")
	}
	if len(metricsOf(code)) < 20 || len(metricsOf(rules)) < 8 || len(metricsOf(dashboard)) < 14 {
		t.Error("metrics are not found")
	}
	for _, name := range unwritten(rules+dashboard, code) {
		t.Errorf("no program writes %s", name)
	}
}

func TestMetricNamesNotices(t *testing.T) {
	code := `family("smap_a_total") sample("smapd_b", label("box", "new"))`
	if got := unwritten(`smap_a_total smapd_b_bucket{box="new"} smapd_b{box=\"new\"}`, code); got != nil {
		t.Errorf("%q", got)
	}
	if got := unwritten(`smap_c smapd_b{box="old"}`, code); len(got) != 2 {
		t.Errorf("%q", got)
	}
}
