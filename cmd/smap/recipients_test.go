package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"smap/internal/eventlog"
)

// TestRecipientsChange: a file that was replaced or written is taken when it has
// settled, and one that shrinks is not.
func TestRecipientsChange(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "recipients")
		write := func(text string) {
			t.Helper()
			// The system's clock is not that of the bubble.
			now := time.Now()
			if err := errors.Join(os.WriteFile(path, []byte(text), 0o600), os.Chtimes(path, now, now)); err != nil {
				t.Fatal(err)
			}
		}
		write("a@example.com\n")
		var log strings.Builder
		var reloads atomic.Int32
		w := &watcher{log: eventlog.New(&log, "smap"), reload: func() { reloads.Add(1) }}
		w.follow(path)
		done := make(chan struct{})
		go w.run(done)
		wait := func(d time.Duration, want int32) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if n := reloads.Load(); n != want {
				t.Fatalf("%d reloads, want %d\n%s", n, want, log.String())
			}
		}
		wait(10*lookEvery, 0)
		write("a@example.com\nb@example.com\n")
		wait(lookEvery+settleTime+time.Second, 1)
		for range 20 { // somebody writes for long
			write("a@example.com\nb@example.com\nc@example.com\n")
			wait(settleTime/2, 1)
		}
		wait(lookEvery+2*settleTime, 2)
		if err := os.Rename(path, path+".old"); err != nil {
			t.Fatal(err)
		}
		wait(10*lookEvery, 2)
		write("c@example.com\nb@example.com\na@example.com\n")
		wait(lookEvery+settleTime+time.Second, 3)
		write("")
		wait(10*lookEvery, 3)
		write("a@example.com\nb@example.com\n")
		wait(lookEvery+settleTime+time.Second, 4)
		close(done)
		synctest.Wait() // nobody writes the log any more
		if !strings.Contains(log.String(), "less than half as long as before") {
			t.Errorf("log:\n%s", log.String())
		}
	})
}
