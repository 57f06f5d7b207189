package main

import (
	"fmt"
	"os"
	"strings"
	"time"
)

// What a terminal obeys (ECMA-48 and xterm's private modes): another screen
// without a cursor, and back.
const (
	screenOn  = "\x1b[?1049h\x1b[?25l"
	screenOff = "\x1b[?25h\x1b[?1049l"
	home      = "\x1b[H"
	clearLine = "\x1b[K"
	clearRest = "\x1b[J"
)

// historySize is how many looks a plot can show.
const historySize = 240

// A history is how many messages came and went between two looks.
type history struct {
	ticks   [historySize]struct{ in, out float64 } // per second; a ring
	n       int                                    // ticks so far
	in, out int                                    // since the last tick
	sumIn   int
	sumOut  int
	later   int
	aside   int
	at      time.Time
}

func (h *history) count(event string) {
	switch event {
	case eventCommitted, eventRequeued:
		h.in++
		h.sumIn++
	case eventFinished:
		h.out++
		h.sumOut++
	case eventDeferred:
		h.later++
	case eventAside:
		h.aside++
	}
}

// tick ends an interval.
func (h *history) tick(now time.Time) {
	if !h.at.IsZero() {
		seconds := max(now.Sub(h.at).Seconds(), 0.001)
		t := &h.ticks[h.n%historySize]
		t.in, t.out = float64(h.in)/seconds, float64(h.out)/seconds
		h.n++
	}
	h.at, h.in, h.out = now, 0, 0
}

// last returns the last values, the oldest first, at most so many.
func (h *history) last(most int, of func(in, out float64) float64) []float64 {
	n := min(h.n, historySize, most)
	out := make([]float64, n)
	for i := range out {
		t := h.ticks[(h.n-n+i)%historySize]
		out[i] = of(t.in, t.out)
	}
	return out
}

// bars are the heights of a plot's columns, for terminals that know UTF-8 and
// for those that do not.
func bars(getenv func(string) string) []rune {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if v := strings.ToLower(getenv(name)); v != "" {
			if strings.Contains(v, "utf-8") || strings.Contains(v, "utf8") {
				return []rune(" ▁▂▃▄▅▆▇█")
			}
			break
		}
	}
	return []rune(" .:-=+*#@")
}

// plot is one line: a column for each value, as high as it is beside most.
func plot(values []float64, most float64, bars []rune) string {
	var b strings.Builder
	for _, v := range values {
		i := 0
		if v > 0 && most > 0 {
			i = 1 + int(v/most*float64(len(bars)-2)+0.5)
		}
		b.WriteRune(bars[min(i, len(bars)-1)])
	}
	return b.String()
}

// draw shows everything that fits.
func (l *live) draw() error {
	if l.last == nil {
		return nil
	}
	lines := l.lines()
	if room := l.a.term.height - 1; len(lines) > room {
		lines = lines[:max(room, 1)]
	}
	out := l.a.out
	out.WriteString(home)
	for _, line := range lines {
		out.WriteString(line + clearLine + "\n")
	}
	out.WriteString(clearRest)
	return out.Flush()
}

// labelWidth is the room for the words before a plot.
const labelWidth = 12

func (l *live) lines() []string {
	t := l.a.term
	all := []string{
		t.paint(bold, t.fit("smapq watch "+l.last.Dir+"  "+l.last.Time.Format("2006-01-02 15:04:05Z"), 0)),
		"",
		t.paint(bold, fmt.Sprintf("%-10s  %8s  %8s  %s", "STATE", "MESSAGES", "SIZE", "OLDEST")),
	}
	for _, name := range states {
		c := l.last.States[name]
		oldest := ""
		if c.Oldest != nil {
			oldest = age(l.last.Time.Sub(*c.Oldest))
		}
		all = append(all, t.paint(stateColour(name), fmt.Sprintf("%-10s", name))+
			fmt.Sprintf("  %8d  %8s  %s", c.Messages, size(c.Octets), oldest))
	}
	all = append(all, "", l.totals(), "")
	all = append(all, l.plots()...)
	if len(l.working) > 0 {
		all = append(all, "", t.paint(bold, "IN DELIVERY"))
	}
	for i := range l.working {
		r := &l.working[i]
		all = append(all, fmt.Sprintf("%s  %s  for %s", r.ID, size(r.Size), age(l.last.Time.Sub(l.since[r.ID]))), "    "+t.fit(describe(r), 4))
	}
	if len(l.errors) > 0 {
		all = append(all, "", t.paint(bold, "LAST ERRORS"))
	}
	for i := range l.errors {
		e := &l.errors[i]
		what := fmt.Sprintf("%s ago, %s: %s", age(l.last.Time.Sub(e.at)), e.row.State, describe(&e.row))
		all = append(all, t.fit(what, 0))
		for _, line := range wrap(e.row.why(), t.room(4)) {
			all = append(all, "    "+t.paint(stateColour(e.row.State), line))
		}
	}
	return all
}

func (l *live) totals() string {
	if l.reader.fs == nil {
		return "No rates: the system does not report changes in the spool."
	}
	h := &l.rates
	return l.a.term.fit(fmt.Sprintf("in %s: %d arrived, %d delivered, %d deferred, %d set aside",
		age(l.last.Time.Sub(l.begin)), h.sumIn, h.sumOut, h.later, h.aside), 0)
}

func (l *live) plots() []string {
	if l.reader.fs == nil {
		return nil
	}
	width := max(l.a.term.width-labelWidth-10, 10)
	in := l.rates.last(width, func(in, _ float64) float64 { return in })
	out := l.rates.last(width, func(_, out float64) float64 { return out })
	most := 1.0
	for _, v := range append(append([]float64{}, in...), out...) {
		most = max(most, v)
	}
	line := func(label string, values []float64, colour string) string {
		now := 0.0
		if n := len(values); n > 0 {
			now = values[n-1]
		}
		return fmt.Sprintf("%-*s", labelWidth, label) + l.a.term.paint(colour, fmt.Sprintf("%-*s", width, plot(values, most, bars(os.Getenv)))) + fmt.Sprintf(" %6.1f/s", now)
	}
	return []string{line("arrived", in, cyan), line("delivered", out, green)}
}

// describe tells whose a message is.
func describe(r *row) string {
	if r.Sender == nil { // nobody can read it
		return r.ID
	}
	return "from <" + *r.Sender + "> to " + r.shownRecipients()
}
