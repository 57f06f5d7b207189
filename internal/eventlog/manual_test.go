package eventlog

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// Every event that smap can log stands in the manual, and the manual has none
// that smap cannot log.
func TestManual(t *testing.T) {
	page, err := os.ReadFile("../../man/smap-log.5")
	if err != nil {
		t.Fatal(err)
	}
	section := func(name string) map[string]bool {
		_, text, ok := strings.Cut(string(page), ".Ss Events of "+name+"\n")
		if !ok {
			t.Fatalf("no events of %s", name)
		}
		text, _, _ = strings.Cut(text, "\n.El\n")
		events := make(map[string]bool)
		for _, m := range regexp.MustCompile(`(?m)^\.It Sy ("[^"]+"|\S+)`).FindAllStringSubmatch(text, -1) {
			events[strings.Trim(m[1], `"`)] = true
		}
		return events
	}
	smap, all := section("smap"), section("all programs")
	logged := make(map[string]bool)
	sources := 0
	for _, pattern := range []string{"../../cmd/smap/*.go", "../../receiver/*.go", "../supervise/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			if strings.HasSuffix(f, "_test.go") {
				continue
			}
			sources++
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for event := range events(string(text)) {
				logged[event] = true
				if !smap[event] && !all[event] {
					t.Errorf("%s logs %q, which smap-log(5) does not have", f, event)
				}
			}
		}
	}
	if sources == 0 || len(logged) < 20 {
		t.Fatalf("%d events in %d files: this test does not see them", len(logged), sources)
	}
	for event := range smap {
		if !logged[event] {
			t.Errorf("smap-log(5) has %q, which smap never logs", event)
		}
	}
}

// events finds the names of events in source text.
func events(text string) map[string]bool {
	found := make(map[string]bool)
	for prefix, call := range map[string]string{
		"": `[lL]og\.(?:Info|Warn|Error)\("([^"]+)"[,)]`, "securityalert: ": `\.alarm\("([^"]+)"`, "fwtksyserr: ": `\.trouble\("([^"]+)"`,
	} {
		for _, m := range regexp.MustCompile(call).FindAllStringSubmatch(text, -1) {
			found[prefix+m[1]] = true
		}
	}
	return found
}
