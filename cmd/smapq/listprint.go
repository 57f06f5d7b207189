package main

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// A listPrinter writes rows as people or programs read them.
type listPrinter struct {
	a      *app
	o      listOptions
	now    time.Time
	short  map[string]string // ids as --oneline shows them
	rows   int
	size   int64
	counts map[string]int
	idle   time.Duration // the longest time that a message was not looked at
}

// maxShown is how many recipients a list names.
const maxShown = 5

func (p *listPrinter) print(r *row) error {
	p.rows++
	p.size += r.Size
	p.counts[r.State]++
	if r.State == stateNew || r.State == stateDrop || r.State == stateDue {
		since := r.Arrived
		if r.State == stateDue && r.due != nil {
			since = *r.due
		}
		if !since.IsZero() {
			p.idle = max(p.idle, p.now.Sub(since))
		}
	}
	switch {
	case p.a.json:
		return p.a.printJSON(r)
	case p.o.idsOnly:
		_, err := fmt.Fprintln(p.a.out, r.ID)
		return err
	case p.o.oneline:
		return p.printLine(r)
	}
	t := p.a.term
	if p.rows == 1 {
		fmt.Fprintln(p.a.out, t.paint(bold, fmt.Sprintf("%-40s  %-10s  %8s  %s", "ID", "STATE", "SIZE", "AGE")))
	}
	fmt.Fprintf(p.a.out, "%-40s  %s  %8s  %s\n", r.ID, t.paint(stateColour(r.State), fmt.Sprintf("%-10s", r.State)), size(r.Size), p.age(r))
	for _, text := range r.details(p.now) {
		for i, line := range wrap(text, t.room(6)) {
			indent := 4
			if i > 0 {
				indent = 6
			}
			if _, err := fmt.Fprintf(p.a.out, "%*s%s\n", indent, "", line); err != nil {
				return err
			}
		}
	}
	return nil
}

func (p *listPrinter) age(r *row) string {
	if r.Arrived.IsZero() {
		return "unknown"
	}
	return age(p.now.Sub(r.Arrived))
}

// printLine has the reason last, and cuts it at the end of the terminal's line.
func (p *listPrinter) printLine(r *row) error {
	t := p.a.term
	to := ""
	if len(r.Recipients) > 0 {
		to = r.Recipients[0].Address
	}
	if n := len(r.Recipients) - 1; n > 0 {
		to = fmt.Sprintf("%s +%d", to, n)
	}
	what := strings.TrimPrefix(to+": "+r.cause(), ": ")
	line := fmt.Sprintf("%-6s %-10s %8s %-10s %s", cmp.Or(p.short[r.ID], r.ID), r.State, size(r.Size), p.age(r), strings.TrimSuffix(what, ": "))
	line = t.fit(strings.TrimRight(line, " "), 0)
	_, err := fmt.Fprintln(p.a.out, strings.Replace(line, r.State, t.paint(stateColour(r.State), r.State), 1))
	return err
}

func stateColour(state string) string {
	switch state {
	case stateBad:
		return red
	case stateDeferred, stateDue:
		return yellow
	case stateDelivering:
		return green
	}
	return cyan
}

// why is the reason that a message is where it is.
func (r *row) why() string { return cmp.Or(r.Reason, r.Problem, r.LastError) }

// cause is why for one line: without how many recipients, the address that it repeats,
// and the exit code of a program that said more.
func (r *row) cause() string {
	cause := setAside.ReplaceAllString(r.why(), "")
	for _, to := range r.Recipients {
		for address := "<" + to.Address + ">: "; strings.HasPrefix(cause, address); {
			cause = cause[len(address):]
		}
	}
	return exited.ReplaceAllString(cause, "")
}

// details are the lines below a message's first: the reason comes first.
func (r *row) details(now time.Time) []string {
	var lines []string
	for _, x := range []struct{ what, text string }{{"set aside", r.Reason}, {"problem", r.Problem}, {"last error", r.LastError}} {
		if x.text != "" {
			lines = append(lines, x.what+": "+x.text)
		}
	}
	var next []string
	if r.Attempts > 0 {
		next = append(next, plural(r.Attempts, "attempt"))
	}
	if r.NextAttempt != nil {
		next = append(next, "next in "+age(r.NextAttempt.Sub(now)))
	}
	if len(next) > 0 {
		lines = append(lines, strings.Join(next, ", "))
	}
	if r.Sender != nil {
		lines = append(lines, "from <"+*r.Sender+"> to "+r.shownRecipients())
	}
	return lines
}

// shownRecipients names those who still wait before those who are done.
func (r *row) shownRecipients() string {
	var waiting, done []string
	for _, x := range r.Recipients {
		if x.Status == "pending" {
			waiting = append(waiting, "<"+x.Address+">")
		} else {
			done = append(done, "<"+x.Address+"> ("+x.Status+")")
		}
	}
	all := append(waiting, done...)
	if more := len(all) - maxShown; more > 0 {
		all = append(all[:maxShown], fmt.Sprintf("and %d more", more))
	}
	return strings.Join(all, ", ")
}

// idleTime is how long a message may wait before somebody should look whether
// there is a drainer at all: smapd rescans every minute.
const idleTime = 3 * time.Minute

// total closes the list.
func (p *listPrinter) total() error {
	if p.rows == 0 {
		_, err := fmt.Fprintln(p.a.out, "No messages.")
		return err
	}
	var parts []string
	for _, s := range states {
		if n := p.counts[s]; n > 0 {
			parts = append(parts, fmt.Sprintf("%d %s", n, s))
		}
	}
	_, err := fmt.Fprintf(p.a.out, "%s, %s: %s\n", plural(p.rows, "message"), size(p.size), strings.Join(parts, ", "))
	if p.idle > idleTime && p.counts[stateDelivering] == 0 {
		text := fmt.Sprintf("Nobody seems to drain this spool: a message has waited for %s, and none is in delivery. Is smapd running? Does its log report trouble with the agent?", age(p.idle))
		for _, line := range wrap(text, p.a.term.room(0)) {
			_, err = fmt.Fprintln(p.a.out, line)
		}
	}
	return err
}
