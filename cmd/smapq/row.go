package main

import (
	"errors"
	"io/fs"
	"strconv"
	"time"

	"smap/courier"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// A row is what list says of one message.
type row struct {
	ID          string          `json:"id"`
	State       string          `json:"state"`
	Box         string          `json:"box"`
	Size        int64           `json:"size"`
	Arrived     time.Time       `json:"arrived,omitzero"`
	Sender      *string         `json:"sender"` // null when the envelope cannot be read
	Recipients  []recipientJSON `json:"recipients"`
	Attempts    int             `json:"attempts,omitempty"`
	NextAttempt *time.Time      `json:"next_attempt,omitempty"`
	LastError   string          `json:"last_error,omitempty"`
	Reason      string          `json:"reason,omitempty"`  // why it was set aside
	Problem     string          `json:"problem,omitempty"` // why the envelope cannot be read

	due *time.Time // the time of the next attempt, which may be over
}

type recipientJSON struct {
	Address string `json:"address"`
	Status  string `json:"status"`
	Text    string `json:"text,omitempty"`
}

// The states of messages, as list and stat name them.
const (
	stateNew        = "new"        // committed, waiting
	stateDrop       = "drop"       // a single-file drop, waiting
	stateDelivering = "delivering" // claimed, locked
	stateDue        = "due"        // in cur, its next attempt could be now
	stateDeferred   = "deferred"   // in cur until its next attempt
	stateBad        = "bad"        // set aside
)

// states in the order of a message's way.
var states = [...]string{stateDrop, stateNew, stateDelivering, stateDue, stateDeferred, stateBad}

// A ref is a message's place.
type ref struct {
	id   string
	box  spoolfmt.Box
	kind spoolfmt.Kind // of the name that stands for the message
}

func (r ref) name() string { return r.id + r.kind.Suffix() }

// stateOf tells a message's state without reading it; due is the time of its
// next attempt where that counts.
func stateOf(s *spoolfmt.Spool, r ref, now time.Time) (state string, due time.Time, err error) {
	switch {
	case r.box == spoolfmt.Bad:
		return stateBad, time.Time{}, nil
	case r.kind == spoolfmt.KindDrop && r.box == spoolfmt.New:
		return stateDrop, time.Time{}, nil
	case r.box == spoolfmt.New:
		return stateNew, time.Time{}, nil
	}
	info, err := s.Stat(r.box, r.name())
	if err != nil {
		return "", time.Time{}, err
	}
	if r.kind == spoolfmt.KindEnvelope && info.ModTime.After(now) {
		return stateDeferred, info.ModTime, nil
	}
	lock := r.id + spoolfmt.KindContent.Suffix()
	if r.kind == spoolfmt.KindDrop {
		lock = r.name()
	}
	if busy, err := s.Locked(r.box, lock); err == nil && busy {
		return stateDelivering, time.Time{}, nil
	}
	return stateDue, info.ModTime, nil
}

// read fills a row. shut is what smapd says of lanes whose agents cannot be reached. A message that is gone meanwhile is fs.ErrNotExist; one that
// cannot be read is a row with a problem.
func read(s *spoolfmt.Spool, r ref, now time.Time, buf []byte, shut *courier.Shut) (row, error) {
	out := row{ID: r.id, Box: r.box.String(), Recipients: []recipientJSON{}}
	state, due, err := stateOf(s, r, now)
	if err != nil {
		return out, err
	}
	out.State = state
	switch state {
	case stateDeferred:
		out.NextAttempt = &due
	case stateDue:
		out.due = &due
	}
	if r.kind != spoolfmt.KindEnvelope {
		out.look(s, r)
		return out, nil // its header says who it is for
	}
	raw, err := s.ReadFile(r.box, r.name(), envelope.MaxSize+1, buf)
	if errors.Is(err, fs.ErrNotExist) {
		return out, err
	}
	if err != nil {
		out.look(s, r)
		out.Problem = err.Error()
		return out, nil
	}
	var reason string
	if r.box == spoolfmt.Bad {
		reason, raw = envelope.CutReason(raw)
	}
	e, err := envelope.Parse(raw)
	if err != nil {
		out.look(s, r)
		out.Reason = reason
		if reason == "" {
			out.Problem = err.Error()
		}
		return out, nil
	}
	out.fill(e)
	if out.LastError == "" && (state == stateNew || state == stateDue) {
		out.LastError = shut.Why(e) // mail that was not tried waits for the same reason
	}
	if out.Size == 0 || out.Arrived.IsZero() {
		out.look(s, r)
	}
	if reason != "" {
		out.Reason = reason
	}
	return out, nil
}

// look takes what the envelope does not say from the content's file.
func (r *row) look(s *spoolfmt.Spool, at ref) {
	name := at.name()
	if at.kind == spoolfmt.KindEnvelope {
		name = at.id + spoolfmt.KindContent.Suffix()
	}
	info, err := s.Stat(at.box, name)
	if err != nil {
		return
	}
	r.Size = info.Size
	if r.Arrived.IsZero() {
		r.Arrived = info.ModTime
	}
}

func (r *row) fill(e *envelope.Envelope) {
	sender := e.Sender().Address
	r.Sender = &sender
	for _, to := range e.Recipients() {
		j := recipientJSON{Address: to.Address, Status: "pending"}
		if to.Outcome != nil {
			j.Status, j.Text = to.Outcome.Status.String(), to.Outcome.Text
		}
		r.Recipients = append(r.Recipients, j)
	}
	r.Size = max(e.Size(), 0)
	r.Arrived = e.ReceivedAt()
	r.Attempts, _ = strconv.Atoi(e.Get("Attempts")) // checked by the parser; absent is 0
	r.LastError = e.Get("Last-Error")
	r.Reason = e.Reason()
}
