package main

import (
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"

	"smap/internal/addrlist"
	"smap/netperm"
	"smap/receiver"
)

// knownRecipients opens the file of known recipients, if the table names one. A
// server loads it into memory, unless it is too large. A process for one connection
// searches the file.
func knownRecipients(t *netperm.Table, server bool) (func() func(string) (bool, error), error) {
	path := t.String(netperm.Recipients)
	if path == "" {
		return nil, nil
	}
	f, err := netperm.OpenFile(path)
	if err != nil {
		return nil, t.Errorf(netperm.Recipients, "%w", err)
	}
	if server {
		set, err := loadSettled(f)
		switch {
		case err == nil:
			known := func(address string) (bool, error) { return set.Contains(address), nil }
			return func() func(string) (bool, error) { return known }, f.Close()
		case !errors.Is(err, addrlist.ErrLarge):
			return nil, t.Errorf(netperm.Recipients, "%w", errors.Join(err, f.Close()))
		}
	}
	return func() func(string) (bool, error) {
		finder := addrlist.NewFinder(f)
		return func(address string) (bool, error) {
			known, err := finder.Contains(address)
			if errors.Is(err, addrlist.ErrEnough) {
				err = receiver.ErrEnough
			}
			return known, err
		}
	}, nil
}

// loadSettled loads the file. While the file is being written, it tries again for
// about a second.
func loadSettled(f *os.File) (*addrlist.Set, error) {
	for i := 0; ; i++ {
		set, err := addrlist.Load(f)
		if !errors.Is(err, addrlist.ErrChanging) || i == 5 {
			return set, err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// The parent of a server looks at the file of recipients every lookEvery. It reloads
// a changed file after that has stayed the same for settleTime.
const (
	lookEvery  = time.Minute
	settleTime = 10 * time.Second
)

// A watcher calls reload after a file has changed, once nobody writes it any more.
type watcher struct {
	log    *slog.Logger
	reload func()

	mu   sync.Mutex
	path string      // "": the table names no file
	used os.FileInfo // when the file was last loaded
	seen os.FileInfo // at the last look, if it differs from used
}

// follow sets the file to watch. The caller loads the file now.
func (w *watcher) follow(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.path, w.seen = path, nil
	w.used, _ = os.Stat(path) // nil: the next file that appears counts as changed
}

// run watches the file until done is closed.
func (w *watcher) run(done <-chan struct{}) {
	timer := time.NewTimer(lookEvery)
	defer timer.Stop()
	for {
		select {
		case <-done:
			return
		case <-timer.C:
			timer.Reset(w.look())
		}
	}
}

// look checks the file once, and returns how long to wait before the next check.
func (w *watcher) look() time.Duration {
	w.mu.Lock()
	defer w.mu.Unlock()
	now, err := os.Stat(w.path)
	if err != nil || w.used != nil && sameFile(now, w.used) {
		w.seen = nil
		return lookEvery
	}
	settled := w.seen != nil && sameFile(now, w.seen)
	w.seen = now
	if !settled {
		return settleTime
	}
	before := int64(0)
	if w.used != nil {
		before = w.used.Size()
	}
	w.used, w.seen = now, nil
	if now.Size() < before/2 {
		w.log.Warn(eventRecipients, "file", w.path, "note", "less than half as long as before: smap keeps the old list; send SIGHUP to load the new one")
		return lookEvery
	}
	w.log.Info(eventRecipients, "file", w.path, "note", "changed")
	w.reload()
	return lookEvery
}

// sameFile tells whether two looks saw the same file with the same size and time.
func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// hangUp returns a function that has the effect of the signal HUP.
func hangUp(signals chan<- os.Signal) func() {
	return func() {
		select {
		case signals <- unix.SIGHUP:
		default: // the queue is full, and each signal in it reloads or ends smap
		}
	}
}
