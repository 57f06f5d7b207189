package courier

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"smap/courier/agent"
)

func TestDeliversWhatIsThereAndWhatComes(t *testing.T) {
	t.Parallel()
	var got tally
	b := newBench(t, agentFunc(got.Deliver))
	b.message("one\n")
	b.run()
	b.eventually("first", func() bool { return got.len() == 1 })
	b.message("two\n")
	b.put("tmp/x", "From: a@example.com\nTo: b@example.org\n\nthree\n")
	if err := os.Link(b.path("tmp/x"), b.path("new/daily.mail")); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(b.path("tmp/x")); err != nil {
		t.Fatal(err)
	}
	b.eventually("all", func() bool { return got.len() == 3 })
	b.eventually("empty", b.empty)
	b.halt()
	if n := b.log.count("msg=finished"); n != 3 {
		t.Errorf("%d finished lines", n)
	}
}

// A shell moves with ln, and rm a moment later: by the event, the content has two names.
func TestLinkedForAMoment(t *testing.T) {
	t.Parallel()
	var got tally
	b := newBench(t, agentFunc(got.Deliver))
	b.run()
	b.put("tmp/c", "one\n")
	b.put("tmp/e", "Spool-Format: 1\nSender: <a@example.com>\nRecipient: <b@example.org>\nSize: 4\n\n")
	for _, move := range [][2]string{{"tmp/c", "new/1.eml"}, {"tmp/e", "new/1.envelope"}} {
		if err := os.Link(b.path(move[0]), b.path(move[1])); err != nil {
			t.Fatal(err)
		}
	}
	b.nothing(100*time.Millisecond, "looks at the linked content come after 1, 3, 7, 15, 31 and 63 ms")
	for _, name := range []string{"tmp/c", "tmp/e"} {
		if err := os.Remove(b.path(name)); err != nil {
			t.Fatal(err)
		}
	}
	b.eventually("delivered", func() bool { return got.len() == 1 })
	b.eventually("empty", b.empty)
}

// A feeder may take an id again while the message that had it before is being delivered; neither waits for a rescan.
func TestSameNameWhileDelivering(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	var got tally
	b := newBench(t, agentFunc(func(ctx context.Context, job *agent.Job) ([]agent.Result, error) {
		r, err := got.Deliver(ctx, job)
		<-release
		return r, err
	}))
	b.run()
	drop := func() {
		b.put("tmp/x", "From: a@example.com\nTo: b@example.org\n\nx\n")
		if err := os.Rename(b.path("tmp/x"), b.path("new/daily.mail")); err != nil {
			t.Fatal(err)
		}
	}
	drop()
	b.eventually("first", func() bool { return got.len() == 1 })
	drop()
	b.nothing(50*time.Millisecond, "the event of the second drop comes within microseconds")
	close(release)
	b.eventually("second", func() bool { return b.log.count("msg=finished") == 2 })
	b.eventually("empty", b.empty)
}

// TestArrivalOrder: mail is delivered in the order of its arrival. A feeder that
// backdates its envelope does not get before others.
func TestArrivalOrder(t *testing.T) {
	var mu sync.Mutex
	var order []string
	b := newBench(t, agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		order = append(order, job.ID)
		return job.Same(agent.Result{Outcome: agent.Delivered}), nil
	}))
	b.cfg.MaxChildren = 1
	var want []string
	for i := range 20 {
		id := b.message(fmt.Sprintf("%d\n", i))
		at := time.Now().Add(time.Duration(-i) * time.Hour)
		if err := os.Chtimes(b.path("new/"+id+".envelope"), at, at); err != nil {
			t.Fatal(err)
		}
		want = append(want, id)
	}
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	if strings.Join(order, " ") != strings.Join(want, " ") {
		t.Errorf("order %v\nwant  %v", order, want)
	}
}

func TestDefers(t *testing.T) {
	b := newBench(t, all(agent.Result{Text: "come back later"}))
	id := b.message("x\n")
	if err := b.once(); err != nil {
		t.Fatal(err)
	}
	e := b.envelope("cur/" + id + ".envelope")
	if e.Get("Attempts") != "1" || e.Get("Last-Error") != "come back later" {
		t.Errorf("Attempts %q, Last-Error %q", e.Get("Attempts"), e.Get("Last-Error"))
	}
	next, err := time.Parse(time.RFC3339Nano, e.Get("Next-Attempt"))
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(b.path("cur/" + id + ".envelope"))
	if err != nil {
		t.Fatal(err)
	}
	if d := st.ModTime().Sub(next).Abs(); d > time.Millisecond {
		t.Errorf("mtime %v, Next-Attempt %v", st.ModTime(), next)
	}
	if wait := time.Until(next); wait < 50*time.Second || wait > 76*time.Second {
		t.Errorf("waits %v", wait)
	}
	// Not due: left alone. Due: tried again.
	if err := b.once(); err != nil || b.envelope("cur/"+id+".envelope").Get("Attempts") != "1" {
		t.Errorf("tried before its time: %v", err)
	}
	past := time.Now().Add(-time.Second)
	if err := os.Chtimes(b.path("cur/"+id+".envelope"), past, past); err != nil {
		t.Fatal(err)
	}
	if err := b.once(); err != nil || b.envelope("cur/"+id+".envelope").Get("Attempts") != "2" {
		t.Errorf("not tried when due: %v", err)
	}
}

func TestEachRecipientOnce(t *testing.T) {
	var mu sync.Mutex
	calls := map[string]int{}
	b := newBench(t, agentFunc(func(_ context.Context, job *agent.Job) ([]agent.Result, error) {
		mu.Lock()
		defer mu.Unlock()
		out := make([]agent.Result, len(job.Recipients))
		for i, r := range job.Recipients {
			calls[r.Address]++
			switch r.Address[0] {
			case 'g':
				out[i] = agent.Result{Outcome: agent.Delivered, Text: "taken"}
			case 'u':
				out[i] = agent.Result{Outcome: agent.Failed, Text: "no such user"}
			default:
				out[i] = agent.Result{Text: "busy"}
				if calls[r.Address] == 2 {
					out[i].Outcome = agent.Delivered
				}
			}
		}
		return out, nil
	}))
	b.cfg.Batch = 2
	b.cfg.Schedule.Retry = []time.Duration{time.Millisecond}
	b.run()
	id := b.message("x\n", "good@example.org", "unknown@example.org", "later@example.org", "good2@example.org", "good@example.org")
	b.eventually("set aside", func() bool { return b.exists("bad/" + id + ".envelope") })
	b.halt()
	want := map[string]int{"good@example.org": 1, "unknown@example.org": 1, "later@example.org": 2, "good2@example.org": 1}
	for a, n := range want {
		if calls[a] != n {
			t.Errorf("%s was tried %d times, want %d", a, calls[a], n)
		}
	}
	e := b.envelope("bad/" + id + ".envelope")
	if !strings.Contains(e.Get("Set-Aside"), "<unknown@example.org>: no such user") {
		t.Errorf("Set-Aside: %s", e.Get("Set-Aside"))
	}
	if len(e.Pending()) != 0 || !b.empty() {
		t.Errorf("pending %v, cur %v", e.Pending(), b.names("cur"))
	}
}

func TestMaxAge(t *testing.T) {
	b := newBench(t, all(agent.Result{Text: "never"}))
	id := b.message("x\n")
	old := time.Now().Add(-6 * 24 * time.Hour)
	if err := os.Chtimes(b.path("new/"+id+".eml"), old, old); err != nil {
		t.Fatal(err)
	}
	for range leastAttempts {
		if err := b.once(); err != nil {
			t.Fatal(err)
		}
		b.due(id)
	}
	if r := b.envelope("bad/" + id + ".envelope").Get("Set-Aside"); !strings.Contains(r, "never") {
		t.Errorf("Set-Aside: %s", r)
	}
	if b.log.count("msg=expired") != 1 || b.log.count("msg=aside") != 1 {
		t.Error("log lines")
	}
}

func TestTwoCouriers(t *testing.T) {
	t.Parallel()
	const messages = 600
	var got tally
	agent := agentFunc(got.Deliver)
	b := newBench(t, agent)
	for i := range messages / 2 {
		b.message(fmt.Sprintf("%d\n", i))
	}
	b.run()
	other := &bench{t: t, dir: b.dir, cfg: b.cfg, log: b.log}
	other.run()
	for i := messages / 2; i < messages; i++ {
		b.message(fmt.Sprintf("%d\n", i))
	}
	b.eventually("all", func() bool { return got.len() == messages })
	b.eventually("empty", b.empty)
	b.halt()
	other.halt()
	for content, n := range got.n {
		if n != 1 {
			t.Errorf("%q was delivered %d times", content, n)
		}
	}
}
