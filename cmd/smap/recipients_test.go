package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
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
		reloads := 0
		w := &watcher{log: eventlog.New(&log, "smap"), reload: func() { reloads++ }}
		w.follow(path)
		done := make(chan struct{})
		go w.run(done)
		wait := func(d time.Duration, want int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if reloads != want {
				t.Fatalf("%d reloads, want %d\n%s", reloads, want, log.String())
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
		if !strings.Contains(log.String(), "less than half as long as before") {
			t.Errorf("log:\n%s", log.String())
		}
		write("a@example.com\nb@example.com\n")
		wait(lookEvery+settleTime+time.Second, 4)
		close(done)
	})
}
