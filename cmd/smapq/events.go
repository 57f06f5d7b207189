package main

import (
	"errors"
	"io/fs"
	"path/filepath"
	"runtime"
	"time"

	"github.com/fsnotify/fsnotify"

	"smap/spoolfmt"
)

// A change is an event of watch.
type change struct {
	Time  time.Time  `json:"time"`
	Event string     `json:"event"`
	ID    string     `json:"id"`
	Next  *time.Time `json:"next_attempt,omitempty"`
}

// The events of watch.
const (
	eventCommitted = "committed"
	eventClaimed   = "claimed"
	eventDeferred  = "deferred"
	eventFinished  = "finished"
	eventAside     = "aside"
	eventRequeued  = "requeued"
)

// watchLimit is how many names a box may hold where watching costs a descriptor
// for each.
const watchLimit = 500

// An eventReader turns the system's events into those of watch. When the system
// has no events left to give, fs is nil, and watch shows only counts.
type eventReader struct {
	s       *spoolfmt.Spool
	fs      *fsnotify.Watcher
	claimed map[string]bool // ids that were seen to be claimed
	left    map[string]bool // ids whose envelopes have left new: in cur, the next event is their claim
}

// maxClaimed bounds what an eventReader remembers.
const maxClaimed = 10_000

// remember adds an id to a map that must not grow for ever.
func remember(ids map[string]bool, id string) {
	if len(ids) >= maxClaimed {
		clear(ids)
	}
	ids[id] = true
}

func newEventReader(s *spoolfmt.Spool) *eventReader {
	m := &eventReader{s: s, claimed: make(map[string]bool), left: make(map[string]bool)}
	w, err := fsnotify.NewBufferedWatcher(4096)
	if err != nil {
		return m
	}
	m.fs = w
	// Errors, such as a queue that overflowed, only mean that some events are
	// missing: the counts stay right.
	go func() {
		for range w.Errors {
			continue
		}
	}()
	for _, b := range walkBoxes(s) {
		if runtime.GOOS != "linux" && crowded(s, b) {
			continue
		}
		if err := w.Add(s.Path(b)); err != nil {
			m.close()
			return m
		}
	}
	return m
}

// crowded tells whether a box has more names than can be watched.
func crowded(s *spoolfmt.Spool, b spoolfmt.Box) bool {
	n := 0
	return s.Scan(b, func(spoolfmt.Entry) error {
		n++
		if n > watchLimit {
			return errManyMessages
		}
		return nil
	}) != nil
}

func (m *eventReader) events() chan fsnotify.Event {
	if m.fs == nil {
		return nil
	}
	return m.fs.Events
}

func (m *eventReader) close() {
	if m.fs != nil {
		_ = m.fs.Close() // nothing was written
		m.fs = nil
	}
}

// interpret says what an event of the system means; false if nothing.
func (m *eventReader) interpret(e fsnotify.Event, now time.Time) (change, bool) {
	dir, name := filepath.Split(e.Name)
	id, kind := spoolfmt.SplitName(name)
	if kind != spoolfmt.KindEnvelope && kind != spoolfmt.KindDrop {
		return change{}, false
	}
	h := change{Time: now.UTC(), ID: id}
	created := e.Has(fsnotify.Create)
	left := e.Has(fsnotify.Rename)
	switch filepath.Clean(dir) {
	case m.s.Path(spoolfmt.New):
		switch {
		case created:
			h.Event = eventCommitted
		case left && kind == spoolfmt.KindEnvelope:
			remember(m.left, id)
		}
	case m.s.Path(spoolfmt.Cur):
		if kind == spoolfmt.KindDrop {
			break // on its way to become a message
		}
		h.Event, h.Next = m.inCur(e, id, now)
	case m.s.Path(spoolfmt.Bad):
		switch {
		case created:
			h.Event = eventAside
		case left && (m.has(spoolfmt.New, id) || m.has(spoolfmt.Cur, id)): // else it is deleted
			h.Event = eventRequeued
		}
	}
	return h, h.Event != ""
}

// has tells whether a box has an envelope of the id.
func (m *eventReader) has(b spoolfmt.Box, id string) bool {
	_, err := m.s.Stat(b, id+spoolfmt.KindEnvelope.Suffix())
	return err == nil
}

// inCur tells a claim from the record of an attempt, which both make the name
// of an envelope appear.
func (m *eventReader) inCur(e fsnotify.Event, id string, now time.Time) (event string, next *time.Time) {
	switch {
	case e.Has(fsnotify.Create) && m.left[id]: // the file may say what came after that
		delete(m.left, id)
		remember(m.claimed, id)
		return eventClaimed, nil
	case e.Has(fsnotify.Create):
		info, err := m.s.Stat(spoolfmt.Cur, id+spoolfmt.KindEnvelope.Suffix())
		if errors.Is(err, fs.ErrNotExist) && m.claimed[id] {
			return "", nil // over already
		}
		if err == nil && info.ModTime.After(now) {
			at := info.ModTime.UTC()
			return eventDeferred, &at
		}
		if m.claimed[id] {
			return "", nil
		}
		remember(m.claimed, id)
		return eventClaimed, nil
	case e.Has(fsnotify.Remove), e.Has(fsnotify.Rename): // to .done
		delete(m.claimed, id)
		if !m.has(spoolfmt.Bad, id) { // which has an event of its own
			return eventFinished, nil
		}
	}
	return "", nil
}
