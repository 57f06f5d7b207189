package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// A terminal is what an output is: its width, 0 when it is none, and whether
// colours are welcome (https://no-color.org).
type terminal struct {
	fd     int
	width  int
	height int
	colour bool
}

func terminalOf(f *os.File, getenv func(string) string) terminal {
	t := terminal{fd: int(f.Fd())}
	if !t.measure() {
		return t
	}
	t.colour = getenv("NO_COLOR") == "" && getenv("TERM") != "dumb" && getenv("TERM") != ""
	return t
}

// measure asks for the size; false when it is no terminal.
func (t *terminal) measure() bool {
	ws, err := unix.IoctlGetWinsize(t.fd, unix.TIOCGWINSZ)
	if err != nil {
		return false
	}
	t.width, t.height = int(ws.Col), int(ws.Row)
	if t.width == 0 { // some do not know
		t.width = 80
	}
	if t.height == 0 {
		t.height = 24
	}
	return true
}

// The colours that mean something here, as SGR parameters.
const (
	bold   = "1"
	dim    = "2"
	red    = "31"
	green  = "32"
	yellow = "33"
	cyan   = "36"
)

// paint colours a text where that is welcome.
func (t terminal) paint(sgr, text string) string {
	if !t.colour || text == "" {
		return text
	}
	return "\x1b[" + sgr + "m" + text + "\x1b[0m"
}

// fit cuts a text that is too long for the terminal's line. It counts
// characters as one column each, which is right for what addresses are made of.
func (t terminal) fit(text string, used int) string {
	if t.width == 0 {
		return text
	}
	room := max(t.width-used, 8)
	if runes := []rune(text); len(runes) > room {
		return string(runes[:room-1]) + "…"
	}
	return text
}

// progressAfter is how long a command may work in silence on a terminal.
const progressAfter = time.Second

// A progress says on standard error how far a command has come, once it takes
// longer than a second, and only to a person.
type progress struct {
	mu    sync.Mutex
	w     io.Writer
	what  string
	of    int // how many there are; 0 when that is unknown
	begin time.Time
	shown time.Time
	on    bool
}

func newProgress(w io.Writer, what string) *progress {
	p := &progress{w: w, what: what, begin: time.Now()}
	if f, ok := w.(*os.File); ok {
		t := terminal{fd: int(f.Fd())}
		p.on = t.measure()
	}
	return p
}

// at is called with the number of things done so far.
func (p *progress) at(n int) {
	if !p.on || n%256 != 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	if now.Sub(p.begin) < progressAfter || now.Sub(p.shown) < 200*time.Millisecond {
		return
	}
	p.shown = now
	if p.of > 0 {
		fmt.Fprintf(p.w, "\r%s %d of %d ...", p.what, n, p.of)
		return
	}
	fmt.Fprintf(p.w, "\r%s %d ...", p.what, n)
}

// end takes the line away.
func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.shown.IsZero() {
		fmt.Fprintf(p.w, "\r%s\r", strings.Repeat(" ", len(p.what)+40))
		p.shown = time.Time{}
	}
}
