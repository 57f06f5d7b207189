package receiver

import (
	"runtime"
	"strings"
	"testing"
)

// TestPadding has recipients whose lines are nearly all blanks. What is kept of
// each until the message comes is its address and not its line.
func TestPadding(t *testing.T) {
	const recipients, most = 900, 512 << 10
	c := everything(new(memorySpool))
	c.MaxRecip = recipients
	s := newSession(c, Client{}, &reel{})
	heap := func() int64 {
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := heap()
	for range recipients {
		if r := s.rcpt("TO:" + strings.Repeat(" ", maxCommand-100) + "<b@local.test>"); r.Code != 250 {
			t.Fatalf("%+v", r)
		}
	}
	if grown := heap() - before; grown > most {
		t.Errorf("%d octets for %d recipients", grown, recipients)
	}
	runtime.KeepAlive(s)
}
