package envelope

import (
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

// allocated runs f and returns the octets that it allocates, and how many of
// them its result keeps alive.
func allocated(f func() *Envelope) (total, live int64) {
	var before, after, kept runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	e := f()
	runtime.ReadMemStats(&after)
	runtime.GC()
	runtime.ReadMemStats(&kept)
	runtime.KeepAlive(e)
	return int64(after.TotalAlloc - before.TotalAlloc), int64(kept.HeapAlloc) - int64(before.HeapAlloc)
}

// TestMemory: an envelope keeps at most 24 times its own octets, and never more
// than 10 MiB; to read it takes at most twice that, whether it is accepted or
// not.
func TestMemory(t *testing.T) {
	lines := func(n int, line func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(line(i))
		}
		return b.String()
	}
	var params strings.Builder
	for i := range MaxParams {
		fmt.Fprintf(&params, " %c%c", 'a'+i/26, 'a'+i%26)
	}
	const head = "Spool-Format: 1\nSender: <>\nSize: 1\n"
	for name, text := range map[string]string{
		"one-letter fields":    headOfEnvelope + strings.Repeat("A: b\n", (MaxSize-len(headOfEnvelope)-1)/5) + "\n",
		"as many as allowed":   headOfEnvelope + strings.Repeat("A: b\n", MaxFields-3) + "\n",
		"recipients":           head + lines(MaxRecipients, func(i int) string { return fmt.Sprintf("Recipient: <%x>\n", i) }) + "\n",
		"one recipient":        head + strings.Repeat("Recipient: <a>\n", MaxRecipients) + "\n",
		"too many recipients":  head + strings.Repeat("Recipient: <a>\n", MaxSize/15-100) + "\n",
		"parameters":           head + lines(MaxRecipients, func(i int) string { return fmt.Sprintf("Recipient: <%x>%s\n", i, &params) }) + "\n",
		"outcomes":             headOfEnvelope + strings.Repeat("Failed: <a> 2026-11-23T20:04:13Z x\n", MaxSize/40) + "\n",
		"large":                fullEnvelope(MaxSize),
		"large, and too large": fullEnvelope(MaxSize + 1),
	} {
		data := []byte(text)
		var err error
		total, live := allocated(func() *Envelope {
			e, perr := Parse(data)
			err = perr
			return e
		})
		runtime.KeepAlive(data)
		const slack = 256 << 10 // what the runtime keeps, and the map of an empty envelope
		most := min(24*int64(len(data)), 10<<20) + slack
		t.Logf("%s: %d KiB: %d KiB allocated, %d KiB kept; %v", name, len(data)>>10, total>>10, live>>10, err)
		if live > most || total > 2*most {
			t.Errorf("%s: %d octets: %d allocated, %d kept", name, len(data), total, live)
		}
	}
}

// TestDropMemory: a header of a megabyte takes at most 24 times that to read.
func TestDropMemory(t *testing.T) {
	fill := func(piece string) string { return strings.Repeat(piece, (MaxDropHeader-100)/len(piece)) }
	var many strings.Builder
	for i := 0; many.Len() < MaxDropHeader-100; i++ {
		fmt.Fprintf(&many, "%x,", i)
	}
	const head = "From: a\nTo: b\n"
	for name, text := range map[string]string{
		"one address":     head + "To: " + fill("b,") + "\n\n",
		"many addresses":  head + "To: " + many.String() + "\n\n",
		"senders":         "To: b\nFrom: " + many.String() + "\n\n",
		"fields":          head + fill("To:\n") + "\n",
		"continuations":   head + fill(" \n") + "\n",
		"name":            head + fill("x") + ":\n\n",
		"comments":        head + "To: " + fill("()") + "\n\n",
		"angle brackets":  head + "To: " + fill("<a>,") + "\n\n",
		"body":            head + "\n" + fill("x\n"),
		"body, CR LF":     strings.ReplaceAll(head, "\n", "\r\n") + "\r\n" + fill("x\r\n"),
		"no header field": fill("x"),
	} {
		total, _ := allocated(func() *Envelope {
			_, _, err := ReadDrop(strings.NewReader(text), io.Discard, Missing{})
			if err != nil && len(err.Error()) > 200 {
				t.Errorf("%s: an error of %d octets", name, len(err.Error()))
			}
			return nil
		})
		t.Logf("%s: %d KiB allocated", name, total>>10)
		if total > 24*MaxDropHeader {
			t.Errorf("%s: %d octets allocated", name, total)
		}
	}
}
