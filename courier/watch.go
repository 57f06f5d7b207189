package courier

import (
	"errors"
	"path/filepath"

	"github.com/fsnotify/fsnotify"

	"smap/spoolfmt"
)

// watchBuffer is how many events may wait while the loop is busy.
const watchBuffer = 256

// A watcher turns file-system events into hints. Without a watch its channels
// are nil and nothing comes.
type watcher struct {
	ev   events
	fs   *fsnotify.Watcher
	dir  string
	lost bool // and logged
}

// A hint is what an event means for the loop.
type hint int

const (
	hintNothing hint = iota
	hintName         // a message was committed
	hintScan         // events were lost, or a scan is asked for
	hintBroken       // no more events will come
	hintMoved        // the directory itself was removed or renamed
)

func (w *watcher) events() chan fsnotify.Event {
	if w.fs == nil {
		return nil
	}
	return w.fs.Events
}

func (w *watcher) errors() chan error {
	if w.fs == nil {
		return nil
	}
	return w.fs.Errors
}

// open watches the directory if it is not watched yet. names is the number of names in
// it: on some systems each costs a descriptor. It returns true for a new watch: a scan
// has to find what came before.
func (w *watcher) open(dir string, names int) bool {
	if watchLimit > 0 && names > watchLimit {
		w.close()
		return false // its backlog is polled; nothing to say
	}
	if w.fs != nil && w.dir == dir {
		return false
	}
	w.close()
	fs, err := fsnotify.NewBufferedWatcher(watchBuffer)
	if err == nil {
		if err = fs.Add(dir); err != nil {
			err = errors.Join(err, fs.Close())
		}
	}
	if err != nil {
		w.broken(err)
		return false
	}
	w.fs, w.dir = fs, dir
	if w.lost {
		w.lost = false
		w.ev.watchBack()
	}
	return true
}

// broken gives the watch up, and logs that once.
func (w *watcher) broken(err error) {
	w.close()
	if !w.lost {
		w.lost = true
		w.ev.watchLost(err)
	}
}

func (w *watcher) close() {
	if w.fs != nil {
		_ = w.fs.Close() // nothing was written; a descriptor that will not close is gone all the same
		w.fs, w.dir = nil, ""
	}
}

// read returns what an event means, and the name that it is about. A feeder touches
// its envelope once the lock is free (SPOOL-FORMAT.md, Feeding). A tool that
// makes deferred mail due touches new itself.
func (w *watcher) read(e fsnotify.Event, ok bool) (hint, string) {
	switch {
	case !ok:
		return hintBroken, ""
	case e.Name == w.dir && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)):
		return hintMoved, ""
	case e.Name == w.dir && e.Has(fsnotify.Chmod):
		return hintScan, ""
	case e.Name == w.dir, !e.Has(fsnotify.Create) && !e.Has(fsnotify.Chmod):
		return hintNothing, ""
	}
	name := filepath.Base(e.Name)
	if _, kind := spoolfmt.SplitName(name); kind != spoolfmt.KindEnvelope && kind != spoolfmt.KindDrop {
		return hintNothing, ""
	}
	return hintName, name
}

// readError returns what an error of the watch means.
func (w *watcher) readError(err error, ok bool) hint {
	switch {
	case !ok:
		return hintBroken
	case errors.Is(err, fsnotify.ErrEventOverflow):
		return hintScan
	}
	return hintBroken
}
