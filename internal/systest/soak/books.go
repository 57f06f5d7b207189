//go:build system

package soak

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"smap/internal/systest/kit"
)

// A piece is one message of the soak. What a recipient is called says what becomes of it:
//
//	ok     delivered at once
//	defer  refused for a moment at first, delivered then
//	lost   the agent's connection ends before the first reply; delivered then
//	fail   refused for good: set aside, or the sender gets a report
//	back   refused for good at first; an operator sends it on its way again
//	gone   refused for a moment, always, until an operator deletes it
type piece struct {
	mark string // the local part of the sender, and the first word of the subject
	to   []string
}

// books are what was promised to feeders and what came of it, by recipient. The recipients of the soak are all different.
type books struct {
	text     func(mark string) string // the content of each piece
	mu       sync.Mutex
	tried    map[string]string // the mark of the message
	promised map[string]bool
	came     map[string]int
	aside    map[string]int
	reported map[string]int
	deleted  map[string]int
	refused  map[string]int // how often the agent has refused it
	wrong    []string
}

func newBooks(text func(string) string) *books {
	return &books{text: text, tried: map[string]string{}, promised: map[string]bool{}, came: map[string]int{}, aside: map[string]int{},
		reported: map[string]int{}, deleted: map[string]int{}, refused: map[string]int{}}
}

// try is called before a piece is fed, promise when its feeder was told that it is accepted.
func (b *books) try(l piece) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, to := range l.to {
		b.tried[to] = l.mark
	}
}

func (b *books) promise(l piece) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, to := range l.to {
		b.promised[to] = true
	}
}

func (b *books) complain(format string, args ...any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.wrong) < 50 {
		b.wrong = append(b.wrong, fmt.Sprintf(format, args...))
	}
}

// note counts that something became of a recipient, in one of the maps.
func (b *books) note(what map[string]int, to string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	what[to]++
	return what[to]
}

// delivered takes down a delivery and looks at its content.
func (b *books) delivered(to, sender, content string) {
	b.mu.Lock()
	mark, known := b.tried[to]
	b.mu.Unlock()
	b.note(b.came, to)
	_, body, _ := strings.Cut(b.text(mark), "\n\n")
	switch {
	case !known:
		b.complain("%s came, and nobody had fed it", to)
	case sender != mark:
		b.complain("%s of %s came from %s", to, mark, sender)
	case !strings.Contains(content, "Subject: "+mark+"\n") || !strings.HasSuffix(content, "\n\n"+body):
		b.complain("%s came with %q", to, kit.Head(content, 200))
	}
}

// counts are for people.
func (b *books) counts() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	again := 0
	for _, n := range b.came {
		again += n - 1
	}
	return fmt.Sprintf("%d recipients accepted of %d tried; %d delivered, %d again, %d set aside, %d reported, %d deleted", len(b.promised),
		len(b.tried), len(b.came), again, len(b.aside), len(b.reported), len(b.deleted))
}

// balance says what is wrong at the end, when the spool is empty: each recipient that was accepted has met its fate, once.
// twice tells whether a second delivery of a recipient can be explained.
func (b *books) balance(reports bool, twice func(to string) bool) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	wrong := slices.Clone(b.wrong)
	for _, to := range slices.Sorted(maps.Keys(b.tried)) {
		kind, _, _ := strings.Cut(to, "-")
		fate, others := b.came[to], b.aside[to]+b.reported[to]+b.deleted[to]
		switch {
		case kind == "fail" && reports:
			fate, others = b.reported[to], b.came[to]+b.aside[to]+b.deleted[to]
		case kind == "fail":
			fate, others = b.aside[to], b.came[to]+b.reported[to]+b.deleted[to]
		case kind == "gone":
			fate, others = b.deleted[to], b.came[to]+b.aside[to]+b.reported[to]
		case kind == "back":
			others = b.reported[to] + b.deleted[to]
		}
		switch {
		case fate == 0 && b.promised[to]:
			wrong = append(wrong, to+" is lost")
		case others > 0:
			wrong = append(wrong, fmt.Sprintf("%s: delivered %d times, set aside %d, reported %d, deleted %d", to, b.came[to], b.aside[to], b.reported[to], b.deleted[to]))
		case fate > 1 && !twice(to):
			wrong = append(wrong, fmt.Sprintf("%s came %d times", to, fate))
		}
	}
	return wrong
}
