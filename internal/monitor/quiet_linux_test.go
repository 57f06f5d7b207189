package monitor

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// TestQuiet looks at every thread: the monitor is one of them.
func TestQuiet(t *testing.T) {
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_GETPID, 0, 0, 0); errno != 0 {
		t.Skip("a program built with cgo cannot reach all of its threads")
	}
	Quiet()
	threads, err := filepath.Glob("/proc/self/task/*")
	if err != nil || len(threads) < 2 {
		t.Fatalf("threads: %v, %v", threads, err)
	}
	for _, thread := range threads {
		file := filepath.Join("/proc", filepath.Base(thread), "timerslack_ns")
		data, err := os.ReadFile(file)
		if os.IsNotExist(err) {
			continue // it has ended
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimSpace(string(data)); got != strconv.Itoa(slack) {
			t.Errorf("%s: %s ns, want %d", file, got, slack)
		}
	}
}
