package courier

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"testing"
	"time"

	"smap/courier/agent"
	"smap/spoolfmt"
	"smap/spoolfmt/envelope"
)

// backlog makes a spool with n deferred messages, as a scan sees them.
func backlog(b *testing.B, n int) string {
	b.Helper()
	dir := b.TempDir()
	sp, err := spoolfmt.OpenDrainer(dir, spoolfmt.Options{})
	if err != nil {
		b.Fatal(err)
	}
	if err := sp.Close(); err != nil {
		b.Fatal(err)
	}
	env := []byte("Spool-Format: 1\nSender: <>\nRecipient: <b@example.org>\nSize: 0\n\n")
	next := time.Now().Add(time.Hour)
	for i := range n {
		base := filepath.Join(dir, "cur", fmt.Sprintf("20261123T200413.123456Z-%016d", i))
		if err := os.WriteFile(base+".eml", nil, 0o600); err != nil {
			b.Fatal(err)
		}
		if err := os.WriteFile(base+".envelope", env, 0o600); err != nil {
			b.Fatal(err)
		}
		at := next.Add(time.Duration(i) * time.Millisecond)
		if err := os.Chtimes(base+".envelope", at, at); err != nil {
			b.Fatal(err)
		}
	}
	return dir
}

// BenchmarkRescan is the cost of one rescan of a backlog of deferred mail.
func BenchmarkRescan(b *testing.B) {
	for _, n := range []int{1000, 20_000, backlogSize()} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			sp, err := spoolfmt.OpenDrainer(backlog(b, n), spoolfmt.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer sp.Close()
			s, cfg := newScanner(), &Config{}
			b.ReportAllocs()
			b.ResetTimer()
			for range b.N {
				r := s.scan(context.Background(), cfg, sp, spoolfmt.Cur, item{}, time.Now())
				if r.err != nil || r.waits != n {
					b.Fatalf("%d messages, %v", r.waits, r.err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/message")
		})
	}
}

// BenchmarkStartWithBacklog is the time from the start to the first delivery of
// new mail, beside a backlog of deferred mail, and the memory in use then.
func BenchmarkStartWithBacklog(b *testing.B) {
	dir := backlog(b, backlogSize())
	b.ResetTimer()
	for range b.N {
		delivered := make(chan struct{})
		agent := agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
			close(delivered)
			return job.Same(agent.Result{Outcome: agent.Delivered}), nil
		})
		b.StopTimer()
		sp, err := spoolfmt.OpenFeeder(dir, spoolfmt.Options{})
		if err != nil {
			b.Fatal(err)
		}
		env, err := envelope.New(envelope.Path{Address: "a@example.com"}, []envelope.Path{{Address: "b@example.org"}})
		if err != nil {
			b.Fatal(err)
		}
		d, err := sp.NewDraft()
		if err != nil {
			b.Fatal(err)
		}
		if err := d.Commit(env); err != nil {
			b.Fatal(err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		b.StartTimer()
		c, err := New(Config{Dir: dir, Agent: agent})
		if err != nil {
			b.Fatal(err)
		}
		go func() { done <- c.Run(ctx) }()
		<-delivered
		b.StopTimer()
		time.Sleep(time.Second) // the scan of cur/ may still run
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		b.ReportMetric(float64(m.Sys)/(1<<20), "MiB-sys")
		cancel()
		if err := <-done; err != nil {
			b.Fatal(err)
		}
		if err := sp.Close(); err != nil {
			b.Fatal(err)
		}
		b.StartTimer()
	}
}

// backlogSize is 200,000 messages, or what BACKLOG says.
func backlogSize() int {
	if n, err := strconv.Atoi(os.Getenv("BACKLOG")); err == nil && n > 0 {
		return n
	}
	return 200_000
}
