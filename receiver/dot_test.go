package receiver

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// reference is what a decoder has to do, as slowly and plainly as it can be
// said. It returns the content of in, how much of in that is, and whether the
// message is complete; ok is false when it must be refused.
func reference(in string, dots bool) (content string, used int, ended, ok bool) {
	var b strings.Builder
	for rest := in; ; {
		line, after, whole := strings.Cut(rest, "\r\n")
		if !whole { // half a line: a CR at its end may become CR LF
			line = strings.TrimSuffix(line, "\r")
		}
		text := line
		if dots {
			text = strings.TrimPrefix(line, ".")
		}
		if strings.ContainsAny(line, "\r\n\x00") {
			return "", 0, false, false
		}
		if whole && dots && line == "." {
			return b.String(), len(in) - len(after), true, true
		}
		b.WriteString(text)
		if !whole {
			return b.String(), len(in), false, true
		}
		b.WriteByte('\n')
		rest = after
	}
}

// decodeAll has a decoder take pieces, and stops where it does.
func decodeAll(dots bool, pieces ...string) (content string, used int, ended, ok bool) {
	d := decoder{dots: dots}
	var b strings.Builder
	for _, p := range pieces {
		out, n, err := d.decode([]byte(p))
		if err != nil {
			if !errors.Is(err, errBareLine) {
				panic(err)
			}
			return "", 0, false, false
		}
		b.Write(out)
		used += n
		if d.state == lineEnd {
			break
		}
		if n != len(p) {
			panic("not all was used before the end")
		}
	}
	return b.String(), used, d.state == lineEnd, true
}

func checkDecoder(t *testing.T, in string, dots bool, pieces ...string) {
	t.Helper()
	content, used, ended, ok := decodeAll(dots, pieces...)
	wantContent, wantUsed, wantEnded, wantOK := reference(in, dots)
	if content != wantContent || used != wantUsed || ended != wantEnded || ok != wantOK {
		t.Fatalf("decode(%q, dots %v) in pieces %q\n= %q, %d, %v, %v\nwant %q, %d, %v, %v", in, dots, pieces,
			content, used, ended, ok, wantContent, wantUsed, wantEnded, wantOK)
	}
}

// TestDecodeAllInputs compares the decoder with the reference for every input
// of up to 6 of the octets that mean something, whole, in every two halves, and
// octet by octet.
func TestDecodeAllInputs(t *testing.T) {
	t.Parallel()
	const alphabet = "a.\r\n\x00"
	const longest = 6
	n := 0
	var extend func(in string)
	extend = func(in string) {
		n++
		for _, dots := range []bool{true, false} {
			checkDecoder(t, in, dots, in)
			checkDecoder(t, in, dots, octets(in)...)
			for at := 1; at < len(in); at++ {
				checkDecoder(t, in, dots, halves(in, at)...)
			}
		}
		if len(in) == longest {
			return
		}
		for _, c := range octets(alphabet) {
			extend(in + c)
		}
	}
	extend("")
	t.Log(n, "inputs")
}

// TestDecodeTable has every octet come in every state.
func TestDecodeTable(t *testing.T) {
	const none = decodeState(-1) // refused
	tests := []struct {
		state         decodeState
		dots          bool
		cr, lf, dot   decodeState
		other         decodeState
		crOut, dotOut string
		lfOut         string
	}{
		{lineBegin, true, lineCR, none, lineDot, lineText, "", "", ""},
		{lineBegin, false, lineCR, none, lineText, lineText, "", ".", ""},
		{lineText, true, lineCR, none, lineText, lineText, "", ".", ""},
		{lineCR, true, none, lineBegin, none, none, "", "", "\n"},
		{lineDot, true, lineDotCR, none, lineText, lineText, "", ".", ""},
		{lineDotCR, true, none, lineEnd, none, none, "", "", ""},
	}
	for _, x := range tests {
		for c := rune(0); c < 256; c++ {
			want, wantOut := x.other, string([]byte{byte(c)})
			switch c {
			case '\r':
				want, wantOut = x.cr, x.crOut
			case '\n':
				want, wantOut = x.lf, x.lfOut
			case '.':
				want, wantOut = x.dot, x.dotOut
			case 0:
				want = none
			}
			d := decoder{state: x.state, dots: x.dots}
			out, used, err := d.decode([]byte{byte(c)})
			switch {
			case want == none:
				if !errors.Is(err, errBareLine) {
					t.Errorf("state %d, octet %q: %q, %v; want it refused", x.state, c, out, err)
				}
			case err != nil || used != 1 || d.state != want || string(out) != wantOut:
				t.Errorf("state %d, octet %q: %q, %d, %v, state %d; want %q, state %d", x.state, c, out, used, err, d.state, wantOut, want)
			}
		}
	}
}

// TestDecodeEndLeavesTheRest: what follows the end is not content.
func TestDecodeEndLeavesTheRest(t *testing.T) {
	in := "a\r\n.\r\nQUIT\n\x00"
	checkDecoder(t, in, true, in)
	if _, used, _, _ := decodeAll(true, in); used != len("a\r\n.\r\n") {
		t.Errorf("used %d", used)
	}
}

// TestDecodeRandom: long inputs, cut at random.
func TestDecodeRandom(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	lines := []string{"", ".", "..", "text", "a longer line of text, so that copies matter", ".dot", " ", "\x80\xff"}
	for range 2000 {
		var b strings.Builder
		for range r.IntN(40) {
			b.WriteString(lines[r.IntN(len(lines))] + "\r\n")
			if r.IntN(200) == 0 {
				b.WriteString([]string{"\n", "\r", "\x00"}[r.IntN(3)])
			}
		}
		in := b.String()
		var cuts []int
		for range r.IntN(5) {
			cuts = append(cuts, r.IntN(len(in)+1))
		}
		slices.Sort(cuts)
		var pieces []string
		last := 0
		for _, c := range cuts {
			pieces = append(pieces, in[last:c])
			last = c
		}
		pieces = append(pieces, in[last:])
		for _, dots := range []bool{true, false} {
			checkDecoder(t, in, dots, pieces...)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, s := range []string{"", "a\r\n.\r\n", "..\r\n.\r\n", "a\n.\r\n", "a\r\n.\n", "\r\r\n.\r\n", "a\r\n.\r", ".\r\nQUIT\r\n", "\x00"} {
		f.Add([]byte(s), true, uint16(0))
		f.Add([]byte(s), false, uint16(2))
	}
	f.Fuzz(func(t *testing.T, in []byte, dots bool, at uint16) {
		s := string(in)
		checkDecoder(t, s, dots, s)
		checkDecoder(t, s, dots, octets(s)...)
		if int(at) <= len(s) {
			checkDecoder(t, s, dots, halves(s, int(at))...)
		}
	})
}

// A nowhere is a draft that only counts.
type nowhere struct {
	Draft
	n int64
}

func (d *nowhere) Write(p []byte) (int, error) { d.n += int64(len(p)); return len(p), nil }
func (d *nowhere) Size() int64                 { return d.n }

// BenchmarkContent is everything that happens to an octet between the
// connection and the file, for a buffer as sessions have it.
func BenchmarkContent(b *testing.B) {
	for _, x := range []struct{ name, line string }{
		{"lines of 78", strings.Repeat("x", 76) + "\r\n"},
		{"lines of 10", "12345678\r\n"},
		{"lines of 998", strings.Repeat("x", 996) + "\r\n"},
		{"dots", ".." + strings.Repeat("x", 74) + "\r\n"},
	} {
		text := []byte(strings.Repeat(x.line, readBuffer/len(x.line)))
		buf := make([]byte, len(text))
		b.Run(x.name, func(b *testing.B) {
			c := &content{s: &session{}, d: decoder{dots: true}, draft: new(nowhere), body: true}
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				copy(buf, text) // the decoder works in place
				if _, err := c.take(buf); err != nil || c.fault != nil {
					b.Fatal(err, c.fault)
				}
			}
		})
		b.Run(x.name+"/naive", func(b *testing.B) {
			out := make([]byte, len(text))
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				copy(buf, text)
				if n := naive(out, buf); n == 0 {
					b.Fatal("nothing")
				}
			}
		})
	}
}

// naive is the loop over octets that one would write first.
func naive(out, in []byte) (n int) {
	state := lineBegin
	for _, c := range in {
		switch {
		case c == 0 || c == '\n' && state != lineCR && state != lineDotCR || state == lineCR && c != '\n':
			return 0
		case c == '\n':
			out[n] = '\n'
			n++
			state = lineBegin
			continue
		case c == '\r' && state == lineDot:
			state = lineDotCR
			continue
		case c == '\r':
			state = lineCR
			continue
		case c == '.' && state == lineBegin:
			state = lineDot
			continue
		}
		state = lineText
		out[n] = c
		n++
	}
	return n
}
