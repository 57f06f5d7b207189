package main

import (
	"fmt"
	"strings"
	"time"
)

// A listPrinter writes rows as people or programs read them.
type listPrinter struct {
	a      *app
	now    time.Time
	rows   int
	size   int64
	counts map[string]int
}

// maxShown is how many recipients a list names.
const maxShown = 5

func (p *listPrinter) print(r *row, idOnly bool) error {
	p.rows++
	p.size += r.Size
	p.counts[r.State]++
	switch {
	case p.a.json:
		return p.a.printJSON(r)
	case idOnly:
		_, err := fmt.Fprintln(p.a.out, r.ID)
		return err
	}
	t := p.a.term
	if p.rows == 1 {
		fmt.Fprintln(p.a.out, t.paint(bold, fmt.Sprintf("%-40s  %-10s  %5s  %s", "ID", "STATE", "SIZE", "AGE")))
	}
	arrived := "unknown"
	if !r.Arrived.IsZero() {
		arrived = age(p.now.Sub(r.Arrived))
	}
	fmt.Fprintf(p.a.out, "%-40s  %s  %5s  %s\n", r.ID, t.paint(stateColour(r.State), fmt.Sprintf("%-10s", r.State)), size(r.Size), arrived)
	for _, line := range r.details(p.now) {
		fmt.Fprintf(p.a.out, "    %s\n", t.fit(line, 4))
	}
	return nil
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

// details are the lines below a message's first.
func (r *row) details(now time.Time) []string {
	var lines []string
	if r.Sender != nil {
		lines = append(lines, "from <"+*r.Sender+"> to "+r.shownRecipients())
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
	for _, x := range []struct{ what, text string }{{"last error", r.LastError}, {"set aside", r.Reason}, {"problem", r.Problem}} {
		if x.text != "" {
			lines = append(lines, x.what+": "+x.text)
		}
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
	return err
}
