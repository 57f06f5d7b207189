package receiver

import (
	"strings"
	"testing"
)

// BenchmarkSession is what a session costs beside the disk and the network: one
// message of 4 KiB, and each further one.
func BenchmarkSession(b *testing.B) {
	message := "MAIL FROM:<a@c.test> SIZE=4096\r\nRCPT TO:<b@local.test>\r\nDATA\r\nSubject: x\r\n\r\n" +
		strings.Repeat(strings.Repeat("x", 76)+"\r\n", 52) + ".\r\n"
	run := func(b *testing.B, messages int) {
		conn := &reel{pieces: []string{"EHLO c.test\r\n" + strings.Repeat(message, messages) + "QUIT\r\n"}}
		Serve(b.Context(), everything(new(bottomless)), Client{}, conn)
		if strings.Count(conn.out.String(), "accepted") != messages {
			b.Fatalf("%.1000s", conn.out.String())
		}
	}
	b.Run("first", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			run(b, 1)
		}
	})
	b.Run("further", func(b *testing.B) {
		b.ReportAllocs()
		run(b, b.N)
	})
}
