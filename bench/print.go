//go:build linux

package main

import (
	"fmt"
	"io"
)

// print writes one row for each group, with its results side by side, and a heading where the columns change.
func (b *bench) print(w io.Writer) {
	heading := ""
	for i := 0; i < len(b.results); {
		end := i
		for end < len(b.results) && b.results[end].Group == b.results[i].Group && b.results[end].Unit == b.results[i].Unit {
			end++
		}
		h, row := fmt.Sprintf("%-70s", b.results[i].Unit), fmt.Sprintf("%-70s", b.results[i].Group)
		for _, r := range b.results[i:end] {
			h += fmt.Sprintf(" %13s", r.Name)
			row += fmt.Sprintf(" %13.4g", r.Value)
		}
		if h != heading {
			fmt.Fprintf(w, "\n%s\n", h)
			heading = h
		}
		fmt.Fprintln(w, row)
		i = end
	}
}
