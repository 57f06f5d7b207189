package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"

	"smap/spoolfmt"
)

// TestLateEvents: a watcher that is late tells of the claim, though the envelope says already
// when the next attempt is.
func TestLateEvents(t *testing.T) {
	dir := t.TempDir()
	s, err := spoolfmt.OpenDrainer(dir, spoolfmt.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := newEventReader(s)
	m.close()
	now := time.Now()
	in := func(box string) string { return filepath.Join(dir, box, "m.envelope") }
	if err := os.WriteFile(in("cur"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(in("cur"), now, now.Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	for i, c := range []struct {
		path string
		op   fsnotify.Op
		want string
	}{
		{in("new"), fsnotify.Create, eventCommitted},
		{in("new"), fsnotify.Rename, ""},
		{in("cur"), fsnotify.Create, eventClaimed},
		{in("cur"), fsnotify.Create, eventDeferred},
		{in("cur"), fsnotify.Rename, eventFinished},
	} {
		h, _ := m.interpret(fsnotify.Event{Name: c.path, Op: c.op}, now)
		if h.Event != c.want {
			t.Errorf("event %d is %q, want %q", i, h.Event, c.want)
		}
	}
}
