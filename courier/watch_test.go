package courier

import (
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/fsnotify/fsnotify"
)

// TestWatcher: one line when events are lost, however often they are tried for,
// and one when they come back.
func TestWatcher(t *testing.T) {
	log := &logged{}
	dir := filepath.Join(t.TempDir(), "new")
	w := watcher{ev: events{slog.New(slog.NewTextHandler(log, nil))}}
	for range 3 {
		if w.open(dir, 0) {
			t.Fatal("watches a directory that is not there")
		}
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if !w.open(dir, 0) || w.open(dir, 0) {
		t.Error("a watch is new once")
	}
	if log.count("msg=watch-lost") != 1 || log.count("msg=watch-back") != 1 {
		t.Error(log)
	}
	w.close()
	if w.events() != nil || w.errors() != nil {
		t.Error("closed, and still there")
	}
}

func TestHints(t *testing.T) {
	w := watcher{dir: "/spool/new"}
	for _, c := range []struct {
		name string
		op   fsnotify.Op
		want hint
	}{
		{"/spool/new/a.envelope", fsnotify.Create, hintName},
		{"/spool/new/a.mail", fsnotify.Create | fsnotify.Chmod, hintName},
		{"/spool/new/a.envelope", fsnotify.Chmod, hintName},
		{"/spool/new/a.eml", fsnotify.Create, hintNothing},
		{"/spool/new/a.eml", fsnotify.Chmod, hintNothing},
		{"/spool/new/a.envelope", fsnotify.Rename, hintNothing},
		{"/spool/new/a.envelope", fsnotify.Write, hintNothing},
		{"/spool/new/a.envelope", fsnotify.Chmod, hintName}, // its feeder has let go
		{"/spool/new/a.eml", fsnotify.Chmod, hintNothing},
		{"/spool/new/-.envelope", fsnotify.Create, hintNothing},
		{"/spool/new", fsnotify.Chmod, hintScan},
		{"/spool/new", fsnotify.Remove, hintMoved},
		{"/spool/new", fsnotify.Rename, hintMoved},
	} {
		if got, _ := w.read(fsnotify.Event{Name: c.name, Op: c.op}, true); got != c.want {
			t.Errorf("%s %v: %d, want %d", c.name, c.op, got, c.want)
		}
	}
	if got, _ := w.read(fsnotify.Event{}, false); got != hintBroken {
		t.Error("a closed channel")
	}
	for err, want := range map[error]hint{fsnotify.ErrEventOverflow: hintScan, os.ErrClosed: hintBroken} {
		if got := w.readError(err, true); got != want {
			t.Errorf("%v: %d, want %d", err, got, want)
		}
	}
	if w.readError(nil, false) != hintBroken {
		t.Error("a closed channel")
	}
}
