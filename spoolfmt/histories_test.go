package spoolfmt

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// All short histories of a spool: whatever is done to a message, by programs, by
// persons and by crashes, a drainer that comes after it leaves it delivered or in
// bad, whole, and not twice without a reason.

// runHistory does the steps after a message was fed. False: some step could not be done.
func runHistory(t *testing.T, leak func(*Spool), all []step) (bool, error) {
	dir, err := stateDir(t)
	if err != nil {
		t.Fatal(err)
	}
	h := &history{x: &testSpool{t: t, dir: dir, clock: time.Now()}, leak: leak}
	defer func() {
		for _, fd := range h.x.dirs {
			_ = unix.Close(fd)
		}
		_ = os.RemoveAll(h.x.dir)
	}()
	h.begin(dir, nil)
	if _, err := h.feed(); err != nil {
		return false, err
	}
	for _, s := range all {
		if ok, err := s.do(h); err != nil || !ok {
			return err != nil, err
		}
	}
	if err := h.drain(); err != nil {
		return true, err
	}
	return true, h.judge()
}

// walk runs every history of up to depth steps, and calls bad for each that ends
// badly, until it returns false. It returns how many there were.
func walk(t *testing.T, leak func(*Spool), from []step, depth int, before []step, bad func([]step, error) bool) (n int, more bool) {
	for _, s := range from {
		all := append(before[:len(before):len(before)], s)
		ran, err := runHistory(t, leak, all)
		if err != nil && !bad(all, err) {
			return n, false
		}
		if !ran {
			continue
		}
		n++
		if depth > 1 {
			k, more := walk(t, leak, from, depth-1, all, bad)
			if n += k; !more {
				return n, false
			}
		}
	}
	return n, true
}

func TestHistories(t *testing.T) {
	t.Parallel()
	depth, least := 3, 700
	if testing.Short() {
		depth, least = 2, 80
	}
	bad := 0
	n, _ := walk(t, nil, steps(4), depth, nil, func(all []step, err error) bool {
		t.Errorf("feed, %s: %v", named(all), err)
		bad++
		return bad < 20
	})
	t.Logf("%d histories of up to %d steps after a message was fed", n, depth)
	if n < least {
		t.Errorf("these are too few: %d were known", least)
	}
}

func named(all []step) string {
	var names []string
	for _, s := range all {
		names = append(names, s.name)
	}
	return strings.Join(names, ", ")
}

// TestHistoriesNeedRules leaves out one rule of the document at a time: some history must
// show it, or another test, which the rule names.
func TestHistoriesNeedRules(t *testing.T) {
	if testing.Short() {
		t.Skip("takes tens of seconds")
	}
	t.Parallel()
	tests := testNames(t)
	for _, r := range rules() {
		t.Run(r.section+" "+r.what, func(t *testing.T) {
			if r.by != "" {
				if !strings.Contains(tests, "func "+r.by+"(") {
					t.Errorf("there is no test %s", r.by)
				}
				return
			}
			t.Parallel()
			found := ""
			for depth := 1; depth <= 3 && found == ""; depth++ { // the short ones first
				walk(t, r.leave, steps(16), depth, nil, func(all []step, err error) bool {
					found = named(all) + ": " + err.Error()
					return false
				})
			}
			if found == "" {
				t.Error("no history shows it")
			}
			t.Log(found)
		})
	}
}

// testNames is the text of all tests of this package.
func testNames(t *testing.T) string {
	files, err := filepath.Glob("*_test.go")
	if err != nil {
		t.Fatal(err)
	}
	var all strings.Builder
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		all.Write(text)
	}
	return all.String()
}
