package main

import "strings"

// wrap breaks a text into lines of at most width columns, at blanks where there
// are any. A width of 0 is no limit.
func wrap(text string, width int) []string {
	if width <= 0 {
		return []string{text}
	}
	var lines []string
	line := ""
	for word := range strings.FieldsSeq(text) {
		switch n := columns(line) + 1 + columns(word); {
		case line == "":
			line = word
		case n <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
		for columns(line) > width { // an address, say
			runes := []rune(line)
			lines = append(lines, string(runes[:width]))
			line = string(runes[width:])
		}
	}
	return append(lines, line)
}

// columns counts a character as one column, which is right for what addresses are
// made of.
func columns(s string) int { return len([]rune(s)) }

// room is the width that is left beside an indentation, 0 when nothing limits it.
func (t terminal) room(indent int) int {
	if t.width == 0 {
		return 0
	}
	return max(t.width-indent, 8)
}
