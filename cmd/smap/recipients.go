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
// server has it in memory, unless it is too large; others read the file.
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

// loadSettled waits a moment for somebody who writes the file.
func loadSettled(f *os.File) (*addrlist.Set, error) {
	for i := 0; ; i++ {
		set, err := addrlist.Load(f)
		if !errors.Is(err, addrlist.ErrChanging) || i == 5 {
			return set, err
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// How often the parent of a server looks whether the file of recipients has
// changed, and how long such a file must stay as it is before it is taken.
const (
	lookEvery  = time.Minute
	settleTime = 10 * time.Second
)

// A watcher notices that a file has changed and is not being written.
type watcher struct {
	log    *slog.Logger
	reload func()

	mu   sync.Mutex
	path string      // "": there is no file
	used os.FileInfo // as it was when it was read
	seen os.FileInfo // as it was at the last look, where that differs
}

// follow watches another file, which is read now.
func (w *watcher) follow(path string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.path, w.seen = path, nil
	w.used, _ = os.Stat(path) // nil: any file is new
}

// run looks until done is closed.
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

// look looks once, and returns how long to wait for the next look.
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

// sameFile tells whether neither the file nor its text was replaced.
func sameFile(a, b os.FileInfo) bool {
	return os.SameFile(a, b) && a.Size() == b.Size() && a.ModTime().Equal(b.ModTime())
}

// hangUp does what HUP does.
func hangUp(signals chan<- os.Signal) func() {
	return func() {
		select {
		case signals <- unix.SIGHUP:
		default: // others are waiting, and one of them is a HUP or the end
		}
	}
}
