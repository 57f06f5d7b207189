package envelope

import (
	"fmt"
	"testing"
	"time"
)

// benchEnvelope makes what smap makes of a message, with n recipients.
func benchEnvelope(tb testing.TB, n int) *Envelope {
	to := make([]Path, n)
	for i := range to {
		to[i] = Path{Address: fmt.Sprintf("user%d@example.org", i), Params: []Param{{"NOTIFY", "FAILURE", true}}}
	}
	e, err := New(Path{Address: "ann@example.com", Params: []Param{{"BODY", "8BITMIME", true}}}, to)
	if err != nil {
		tb.Fatal(err)
	}
	for _, f := range []Field{
		{"Received-At", FormatTime(time.Unix(1795464253, 0))}, {"Client-Address", "192.0.2.1"}, {"Helo", "mail.example.com"}, {"Protocol", "ESMTP"},
	} {
		if err := e.Set(f.Name, f.Value); err != nil {
			tb.Fatal(err)
		}
	}
	e.SetSize(12345)
	return e
}

var benchSizes = []int{1, 100, MaxRecipients}

func BenchmarkNew(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				benchEnvelope(b, n)
			}
		})
	}
}

func BenchmarkParse(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			data, err := benchEnvelope(b, n).Marshal()
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(data)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := Parse(data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkMarshal(b *testing.B) {
	for _, n := range benchSizes {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := benchEnvelope(b, n)
			b.ReportAllocs()
			for b.Loop() {
				if _, err := e.Marshal(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkNewID(b *testing.B) {
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		NewID(now)
	}
}
