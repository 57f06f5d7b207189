package eventlog

import (
	"io"
	"testing"
)

// BenchmarkLine is the usual line of a message.
func BenchmarkLine(b *testing.B) {
	log := New(io.Discard, "smap").With("client", "192.0.2.1")
	b.ReportAllocs()
	for b.Loop() {
		log.Info("message", "id", "20261123T200413.123456Z-7f3a9c1e2b4d5e6f", "sender", "ann@example.com", "recipients", 1, "size", int64(4711))
	}
}
