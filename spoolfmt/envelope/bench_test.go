package envelope

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"hash/crc32"
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

// BenchmarkContentCheck shows what the checks before a delivery cost, and what
// CRC32C adds: a feeder pays that, too.
func BenchmarkContentCheck(b *testing.B) {
	content := bytes.Repeat([]byte("0123456789012345678901234567890123456789012345678901234567890123456789012345\n"), 53)
	for _, sum := range []string{"none", "CRC32C", "SHA256"} {
		b.Run(sum, func(b *testing.B) {
			e, err := New(Path{}, []Path{{Address: "a"}})
			if err != nil {
				b.Fatal(err)
			}
			e.SetSize(int64(len(content)))
			switch sum {
			case "CRC32C":
				e.SetChecksum(crc32.Checksum(content, ChecksumTable()))
			case "SHA256":
				err = e.Set("SHA256", fmt.Sprintf("%x", sha256.Sum256(content)))
			}
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				check := e.NewContentCheck()
				if _, err := check.Write(content); err != nil {
					b.Fatal(err)
				}
				if err := check.End(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
