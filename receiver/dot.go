package receiver

import "bytes"

// A decoder turns what DATA and BDAT transmit into content: CR LF becomes LF
// and, for DATA, dot-stuffing is taken off and the line with a lone dot found.
// Everything that some server somewhere might take for the end of a line but is
// not CR LF is errBareLine (RFC 5321 2.3.8, 4.1.1.4).
type decoder struct {
	state decodeState
	dots  bool // DATA: dots at the beginning of lines count
}

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

// decode takes octets and returns what they stand for, in the same memory, and
// how many of them it used: fewer than all only after the end.
func (d *decoder) decode(p []byte) (out []byte, used int, err error) {
	if bytes.IndexByte(p, 0) >= 0 {
		// Where the message ends inside p, NUL may be in what follows; that is
		// no command either.
		return nil, 0, errBareLine
	}
	out = p[:0]
	i := 0
	for i < len(p) && d.state != lineEnd {
		switch d.state {
		case lineBegin:
			if d.dots && p[i] == '.' {
				d.state = lineDot
				i++
				continue
			}
			d.state = lineText
		case lineText:
			var piece []byte
			piece, d.state = text(p[i:])
			if d.state < 0 {
				return nil, 0, errBareLine
			}
			i += len(piece)
			if d.state == lineBegin {
				piece = piece[:len(piece)-1] // the CR goes, its place takes LF
				out = append(out, piece...)
				out[len(out)-1] = '\n'
				continue
			}
			if d.state == lineCR {
				piece = piece[:len(piece)-1]
			}
			out = append(out, piece...)
		case lineCR:
			if p[i] != '\n' {
				return nil, 0, errBareLine
			}
			i++
			out = append(out, '\n')
			d.state = lineBegin
		case lineDot:
			d.state = lineText // a stuffed dot: it is dropped, the rest stays
			if p[i] == '\r' {
				d.state = lineDotCR
				i++
			}
		case lineDotCR:
			if p[i] != '\n' {
				return nil, 0, errBareLine
			}
			i++
			d.state = lineEnd
		}
	}
	return out, i, nil
}

const bare decodeState = -1

// text returns the rest of a line that has begun, with CR LF or without it
// where p ends before, and the state after it; bare for a CR or LF that is not
// part of CR LF.
func text(p []byte) ([]byte, decodeState) {
	n := bytes.IndexByte(p, '\n')
	if n < 0 {
		switch c := bytes.IndexByte(p, '\r'); {
		case c < 0:
			return p, lineText
		case c == len(p)-1:
			return p, lineCR
		}
		return nil, bare
	}
	if c := bytes.IndexByte(p[:n], '\r'); c < 0 || c != n-1 {
		return nil, bare
	}
	return p[:n+1], lineBegin
}
