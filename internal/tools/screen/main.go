// Screen makes an SVG of a terminal: text with SGR colours on standard input, as
// tmux capture-pane -p -e prints it.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strings"
)

// The measures of a character and of the margin, in pixels.
const (
	charWidth  = 8.4
	lineHeight = 18
	margin     = 14
)

func main() {
	if err := draw(os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "screen:", err)
		os.Exit(1)
	}
}

// A style is what SGR parameters come to.
type style struct {
	bold   bool
	colour string
}

// draw writes the picture. Empty lines at the end are left out.
func draw(in io.Reader, out io.Writer) error {
	var lines []string
	for s := bufio.NewScanner(in); s.Scan(); {
		lines = append(lines, strings.TrimRight(s.Text(), " "))
	}
	for len(lines) > 0 && plain(lines[len(lines)-1]) == "" {
		lines = lines[:len(lines)-1]
	}
	columns := 0
	for _, l := range lines {
		columns = max(columns, len([]rune(plain(l))))
	}
	width, height := int(float64(columns)*charWidth)+2*margin, len(lines)*lineHeight+2*margin
	fmt.Fprintf(out, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d">`+"\n", width, height, width, height)
	fmt.Fprintf(out, `<rect width="%d" height="%d" rx="8" fill="#1c1f26"/>`+"\n", width, height)
	fmt.Fprintln(out, `<g font-family="ui-monospace, Menlo, Consolas, monospace" font-size="14" fill="#d5d8de" xml:space="preserve">`)
	var now style
	for i, l := range lines {
		fmt.Fprintf(out, `<text x="%d" y="%d">`, margin, margin+(i+1)*lineHeight-5)
		now = row(out, l, now)
		fmt.Fprintln(out, "</text>")
	}
	_, err := fmt.Fprintln(out, "</g>\n</svg>")
	return err
}

// row writes a line's parts, each in its style, and returns the style at its end.
func row(out io.Writer, line string, now style) style {
	for line != "" {
		text, rest, found := strings.Cut(line, "\x1b[")
		if text != "" {
			fmt.Fprintf(out, "<tspan%s>%s</tspan>", now, escape(text))
		}
		if !found {
			break
		}
		var sgr string
		sgr, line, _ = strings.Cut(rest, "m")
		now = now.after(sgr)
	}
	return now
}

// after is the style after SGR parameters; others than ours change nothing.
func (s style) after(sgr string) style {
	for p := range strings.SplitSeq(sgr, ";") {
		switch p {
		case "", "0":
			s = style{}
		case "1":
			s.bold = true
		case "2", "90":
			s.colour = "#8a919e"
		case "31":
			s.colour = "#ff7b72"
		case "32":
			s.colour = "#7ee787"
		case "33":
			s.colour = "#e3b341"
		case "36":
			s.colour = "#76e3ea"
		case "39":
			s.colour = ""
		}
	}
	return s
}

// String is the style as attributes of SVG.
func (s style) String() string {
	text := ""
	if s.bold {
		text += ` font-weight="bold"`
	}
	if s.colour != "" {
		text += ` fill="` + s.colour + `"`
	}
	return text
}

// plain is a line without its escapes.
func plain(line string) string {
	var b strings.Builder
	for line != "" {
		text, rest, found := strings.Cut(line, "\x1b[")
		b.WriteString(text)
		if !found {
			break
		}
		_, line, _ = strings.Cut(rest, "m")
	}
	return strings.TrimRight(b.String(), " ")
}

func escape(s string) string {
	return strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;").Replace(s)
}
