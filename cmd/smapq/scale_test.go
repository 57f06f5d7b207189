package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// scaled is how many messages the benchmarks look at.
const scaled = 100_000

// BenchmarkScale runs the commands that look at a whole spool on one of
// 100,000 messages, half of them deferred, each in a process of its own, and
// reports milliseconds and the most memory that was resident. They answer
// within 2 s and 64 MiB.
func BenchmarkScale(b *testing.B) {
	dir := b.TempDir()
	bin := filepath.Join(dir, "smapq")
	if out, err := exec.Command("go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	spool := filepath.Join(dir, "spool")
	fill(b, spool)
	for _, args := range []string{"list", "list --json", "list --state bad", "stat", "check"} {
		b.Run(strings.ReplaceAll(args, " ", "_"), func(b *testing.B) {
			var most int64
			for b.Loop() {
				cmd := exec.Command(bin, append([]string{"-d", spool}, strings.Fields(args)...)...)
				null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
				if err != nil {
					b.Fatal(err)
				}
				cmd.Stdout, cmd.Stderr = null, os.Stderr
				err = cmd.Run()
				null.Close()
				if err != nil {
					b.Fatal(err)
				}
				if ru, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
					most = max(most, maxRSS(ru))
				}
			}
			b.ReportMetric(float64(b.Elapsed().Milliseconds())/float64(b.N), "ms/op")
			b.ReportMetric(float64(most)/(1<<20), "MiB-resident")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// maxRSS is in octets on the systems that count in them.
func maxRSS(ru *syscall.Rusage) int64 {
	if runtime.GOOS == "darwin" {
		return ru.Maxrss
	}
	return ru.Maxrss << 10
}

func fill(b *testing.B, spool string) {
	b.Helper()
	for _, box := range []string{"", "tmp", "new", "cur", "bad"} {
		if err := os.Mkdir(filepath.Join(spool, box), 0o700); err != nil {
			b.Fatal(err)
		}
	}
	content := []byte("From: ann@example.com\nTo: bob@example.org\nSubject: x\n\n" + strings.Repeat(strings.Repeat("y", 70)+"\n", 50))
	later := time.Now().Add(time.Hour)
	for i := range scaled {
		box := []string{"new", "cur"}[i%2]
		id := fmt.Sprintf("20261123T2004%02d.%06dZ-7f3a9c1e2b4d5e6f", i%60, i)
		env := fmt.Sprintf("Spool-Format: 1\nSender: <ann@example.com>\nRecipient: <bob%d@example.org>\nSize: %d\n"+
			"Received-At: 2026-11-23T20:04:13.123456Z\nClient-Address: 192.0.2.1\nHelo: mail.example.com\n\n", i, len(content))
		name := filepath.Join(spool, box, id)
		if err := os.WriteFile(name+".eml", content, 0o640); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(name+".envelope", []byte(env), 0o640); err != nil {
			b.Fatal(err)
		}
		if box == "cur" {
			if err := os.Chtimes(name+".envelope", later, later); err != nil {
				b.Fatal(err)
			}
		}
	}
}
