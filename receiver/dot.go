package receiver

import (
	"bytes"
	"fmt"
)

// A decoder turns what DATA and BDAT transmit into content: CR LF becomes LF
// and, for DATA, dot-stuffing is taken off and the line with a lone dot found.
// Everything that some server somewhere might take for the end of a line but is
// not CR LF is errBareLine (RFC 5321 2.3.8, 4.1.1.4), and so is NUL.
type decoder struct {
	state decodeState
	dots  bool   // DATA: dots at the beginning of lines count
	tail  string // what ended in errBareLine, as far as a skipper needs it
}

// errNUL is returned with all that was decoded: the ends of lines are certain.
var errNUL = fmt.Errorf("NUL: %w", errBareLine)

type decodeState int

// What the decoder has seen of a line.
const (
	lineBegin decodeState = iota // nothing
	lineText                     // something, and no CR
	lineCR                       // CR, after something or nothing
	lineDot                      // a dot, at the beginning
	lineDotCR                    // a dot at the beginning, then CR
	lineEnd                      // the lone dot: the message is complete
)

// decode takes octets and returns what they mean, in the same memory, and
// how many of them it used: fewer than all only after the end.
func (d *decoder) decode(p []byte) (out []byte, used int, err error) {
	out = p[:0]
	for used < len(p) && d.state != lineEnd {
		switch rest := p[used:]; d.state {
		case lineBegin:
			d.state = lineText
			if d.dots && rest[0] == '.' {
				d.state = lineDot
				used++
			}
		case lineText:
			line := rest
			if n := bytes.IndexByte(rest, '\r'); n >= 0 {
				line = rest[:n]
			}
			if n := bytes.IndexByte(line, '\n'); n >= 0 {
				d.tail = "\n"
				return nil, used + n + 1, errBareLine
			}
			out = append(out, line...)
			used += len(line)
			if len(line) < len(rest) {
				d.state = lineCR
				used++
			}
		case lineDot: // a stuffed one, which goes, unless the line ends here
			d.state = lineText
			switch rest[0] {
			case '\r':
				d.state = lineDotCR
				used++
			case '\n':
				d.tail = "\n.\n"
				return nil, used + 1, errBareLine
			}
		case lineCR, lineDotCR:
			if rest[0] != '\n' {
				d.tail = "\r"
				return nil, used, errBareLine
			}
			used++
			if d.state == lineDotCR {
				d.state = lineEnd
				break
			}
			out = append(out, '\n')
			d.state = lineBegin
		}
	}
	if bytes.IndexByte(out, 0) >= 0 {
		return out, used, errNUL
	}
	return out, used, nil
}
