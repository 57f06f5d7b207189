//go:build linux

package main

import (
	"fmt"
	"io"
	"strings"
)

// print writes one row for each group, with its results side by side, and a heading where the columns change.
func (b *bench) print(w io.Writer) {
	type row struct {
		heading string
		values  strings.Builder
	}
	var order []string
	rows := make(map[string]*row)
	for _, r := range b.results {
		key := r.Unit + "\n" + r.Group
		if rows[key] == nil {
			order = append(order, key)
			rows[key] = &row{heading: fmt.Sprintf("%-70s", r.Unit)}
			fmt.Fprintf(&rows[key].values, "%-70s", r.Group)
		}
		rows[key].heading += fmt.Sprintf(" %13s", r.Name)
		fmt.Fprintf(&rows[key].values, " %13.4g", r.Value)
	}
	heading := ""
	for _, key := range order {
		if rows[key].heading != heading {
			heading = rows[key].heading
			fmt.Fprintf(w, "\n%s\n", heading)
		}
		fmt.Fprintln(w, rows[key].values.String())
	}
}
