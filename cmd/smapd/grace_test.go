package main

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

// TestGraces: deliveries have 20 seconds, the end of an agent takes up to 10; then the parent
// still waits for what has to be written, and systemd for the parent.
func TestGraces(t *testing.T) {
	const deliveries, agent = 20 * time.Second, 10 * time.Second
	if childGrace < 2*(deliveries+agent) {
		t.Errorf("the parent kills after %v", childGrace)
	}
	unit, err := os.ReadFile("../../contrib/systemd/smapd.service")
	if err != nil {
		t.Fatal(err)
	}
	seconds := 0
	for line := range strings.Lines(string(unit)) {
		if value, ok := strings.CutPrefix(line, "TimeoutStopSec="); ok {
			if _, err := fmt.Sscan(value, &seconds); err != nil {
				t.Fatal(err)
			}
		}
	}
	if systemd := time.Duration(seconds) * time.Second; systemd <= childGrace {
		t.Errorf("systemd kills after %v, the parent after %v", systemd, childGrace)
	}
}
