package main

import (
	"cmp"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// A group is the messages of one state with one reason.
type group struct {
	State    string `json:"state"`
	Reason   string `json:"reason"`
	Messages int    `json:"messages"`
	Octets   int64  `json:"octets"`
	Example  string `json:"example"` // an id
}

// A summary groups messages by state and reason.
type summary struct{ groups map[[2]string]*group }

// maxGroups bounds the memory of a summary. Further reasons are counted together.
const maxGroups = 10_000

func (s *summary) add(r *row) {
	reason := plainReason(r.why())
	key := [2]string{r.State, reason}
	g := s.groups[key]
	if g == nil && len(s.groups) >= maxGroups {
		reason = "other reasons"
		key[1] = reason
		g = s.groups[key]
	}
	if g == nil {
		g = &group{State: r.State, Reason: reason, Example: r.ID}
		s.groups[key] = g
	}
	g.Messages++
	g.Octets += r.Size
}

// sorted returns the groups, the largest first.
func (s *summary) sorted() []*group {
	all := make([]*group, 0, len(s.groups))
	for _, g := range s.groups {
		all = append(all, g)
	}
	slices.SortFunc(all, func(a, b *group) int {
		return cmp.Or(b.Messages-a.Messages, strings.Compare(a.State, b.State), strings.Compare(a.Reason, b.Reason))
	})
	return all
}

func (a *app) printSummary(s *summary) error {
	all := s.sorted()
	if a.json {
		for _, g := range all {
			if err := a.printJSON(g); err != nil {
				return err
			}
		}
		return nil
	}
	if len(all) == 0 {
		_, err := fmt.Fprintln(a.out, "No messages.")
		return err
	}
	fmt.Fprintln(a.out, a.term.paint(bold, fmt.Sprintf("%6s  %-10s  %8s  %s", "COUNT", "STATE", "SIZE", "REASON")))
	for _, g := range all {
		reason := cmp.Or(g.Reason, "-")
		const indent = 6 + 2 + 10 + 2 + 8 + 2
		for i, line := range wrap(reason, a.term.room(indent)) {
			if i > 0 {
				fmt.Fprintf(a.out, "%*s%s\n", indent, "", line)
				continue
			}
			state := a.term.paint(stateColour(g.State), fmt.Sprintf("%-10s", g.State))
			if _, err := fmt.Fprintf(a.out, "%6d  %s  %8s  %s\n", g.Messages, state, size(g.Octets), line); err != nil {
				return err
			}
		}
	}
	return nil
}

// What differs between messages that failed for the same reason.
var (
	setAside  = regexp.MustCompile(`^\d+ of \d+ recipients failed for good, the first is `)
	exited    = regexp.MustCompile(`^(\d\.\d+\.\d+ )?exit \d+( \(EX_\w+\))?: `)
	bracketed = regexp.MustCompile(`<[^<> ]*>`)
	codes     = regexp.MustCompile(`\b(\d{6,}|[0-9A-Fa-f]{8,}|\d+\.\d+\.\d+\.\d+(:\d+)?)\b`)
)

// plainReason leaves addresses, numbers of queues and the like out of a reason.
func plainReason(why string) string {
	why = setAside.ReplaceAllString(why, "")
	why = bracketed.ReplaceAllString(why, "<...>")
	why = strings.TrimPrefix(why, "<...>: ")
	return codes.ReplaceAllString(why, "...")
}
